"""How the Hub's clients are told to behave: by variables that they really read."""

import os
import subprocess
import sys
from pathlib import Path

import hf_xet
import huggingface_hub.constants
import pytest

from warmup.worker.client_settings import set_client_defaults
from warmup.worker.handler import handler

DEFAULTS: dict[str, str] = {}
set_client_defaults(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_installed_client_reads_the_variable(name: str):
    """A name that it does not know changes nothing, and nobody would notice."""
    if name.startswith("HF_XET_"):
        [library] = Path(hf_xet.__file__).parent.glob("hf_xet*.so")
        assert name.encode() in library.read_bytes()
    else:
        assert f'"{name}"' in _source_of_hub()


def test_vectored_writes_are_off_in_the_warm_up(monkeypatch: pytest.MonkeyPatch):
    """On NFS they stall: https://github.com/vllm-project/vllm/pull/49830"""
    for name in DEFAULTS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    handler({"action": "nothing"}, None)
    assert {name: os.environ.get(name) for name in DEFAULTS} == DEFAULTS
    assert DEFAULTS["HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE"] == "0"


def test_the_command_sets_them_before_it_imports_the_client():
    seen = (
        "import sys, warmup.__main__ as command\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "assert command.main(['add', 'no/repository/at/all']) == 2\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_DISABLE_SHARED_BLOBS)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", seen],
        cwd=Path(__file__).parents[3],
        env={name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "True\n", done.stderr


def test_what_is_set_already_stays():
    environ = {"HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE": "1"}
    set_client_defaults(environ)
    assert environ["HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE"] == "1"


def _source_of_hub() -> str:
    folder = Path(huggingface_hub.constants.__file__).parent
    return "".join(path.read_text() for path in (folder / "constants.py", folder / "utils" / "logging.py"))
