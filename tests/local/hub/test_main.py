"""`python -m local.hub` as a process."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from local.hub.__main__ import main
from tests.local.hub.conftest import COMMIT

ROOT = Path(__file__).parents[3]


def test_the_command_serves_until_it_is_told_to_stop(models: Path, tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    command = [
        sys.executable,
        "-m",
        "local.hub",
        "--models",
        str(models),
        "--models",
        f"my/own={models / 'org/own'}",
    ]
    with subprocess.Popen(
        [*command, "--port-file", str(port_file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = f"http://127.0.0.1:{port_file.read_text()}"
        assert line == f"{url} serves my/own, org/own, org/pinned\n"
        with urllib.request.urlopen(f"{url}/api/models/org/pinned") as answer:
            assert json.load(answer)["sha"] == COMMIT
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_models_that_are_not_there_end_the_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", "org/name=/absent"]) == 2
    assert (
        capsys.readouterr().err
        == "hub: org/name: /absent is not a directory; expected the folder of a model\n"
    )
