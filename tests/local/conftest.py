"""A folder of small functions, run by the real emulator and runtime."""

import sys
from pathlib import Path

import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from local.service.emulator import Emulators
from local.service.isolation import available
from tests.local.functions_to_run import PROBE

CHECKOUT = Path(__file__).parents[2]
BINARY = CHECKOUT / ".local/bin/aws-lambda-rie"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference/probe.py").write_text(PROBE)
    # What the functions run in is a part of the image beside the scripts.
    (tmp_path / "hf_lambda").symlink_to(CHECKOUT / "hf_lambda")
    (tmp_path / "efs").mkdir()
    return tmp_path


@pytest.fixture
def emulators(root):
    if not BINARY.exists():
        pytest.fail(f"{BINARY} is missing; run `make setup`")
    mode = available(root / "efs", root / "state")
    return Emulators(cache=root / "efs", state=root / "state", isolation=mode, binary=BINARY, root=root)


@pytest.fixture(autouse=True)
def plain_hub_client() -> None:
    """An earlier test may have run the warm-up's code, which keeps tokens from hosts it does not know."""
    hub = sys.modules.get("warmup.worker.hub")
    if hub is not None and hub._checked_hosts:
        hub._checked_hosts.clear()
        set_client_factory(default_client_factory)
