"""A folder of small functions, run by the real emulator and runtime."""

from pathlib import Path

import pytest

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
