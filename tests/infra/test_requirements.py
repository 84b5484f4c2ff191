"""Deploying needs requirements.txt alone: no torch, no tests, no emulator, nothing that only Linux has."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.program import ROOT

PROGRAM = "import runpy; runpy.run_path('__main__.py')"
COMMANDS = "import warmup.cli.command, local.__main__, local.logs"


def locked() -> set[str]:
    names = re.findall(r"^([a-z0-9][\w.-]*)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name) for name in names}


WITHOUT = """
import json, sys
class Absent:
    blocked = {*json.loads(sys.argv[1])} - {*sys.modules}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
"""Makes modules absent that the interpreter did not load by itself."""


@pytest.mark.slow
@pytest.mark.parametrize("code", [PROGRAM, COMMANDS], ids=["the program", "the commands"])
def test_the_lock_is_enough(code: str):
    absent = [
        module
        for module, names in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in names} & locked()
    ]
    assert {"torch", "transformers", "onnxruntime", "moto"} <= {*absent}
    command = [sys.executable, "-W", "ignore", "-c", f"{WITHOUT}{code}", json.dumps(absent)]
    subprocess.run(command, cwd=ROOT, check=True)


def test_the_image_s_lock_for_prepared_models_has_no_pydantic():
    assert "pydantic" in locked()
    assert "pydantic" not in (ROOT / "inference" / "requirements-slim.txt").read_text()


def test_the_slim_image_s_packages_stay_small(tmp_path):
    """Each file as an empty one of its size, trimmed by the image's own script."""
    lock = (ROOT / "inference" / "requirements-slim.txt").read_text()
    for name in {*re.findall(r"^([a-z0-9][\w.-]*)==", lock, re.MULTILINE)}:
        for file in importlib.metadata.files(name) or ():
            installed = Path(file.locate())
            if ".." in file.parts or file.suffix == ".pyc" or not installed.is_file():
                continue
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as empty:
                empty.truncate(installed.stat().st_size)
    subprocess.run(["sh", str(ROOT / "requirements" / "trim-slim.sh"), str(tmp_path)], check=True)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    # A compiled module takes about as much as its source.
    total = sum(path.stat().st_size * (2 if path.suffix == ".py" else 1) for path in left)
    assert 100e6 < total < 140e6, total


def test_credentials_of_aws_login_can_be_read():
    """botocore needs its extra crt for them, boto3[crt]; without, it says so where a client is made."""
    assert "awscrt" in locked()


@pytest.mark.parametrize("target", ["up", "warm", "invoke", "logs"])
def test_another_stack_than_the_local_one_is_set_up_from_that_lock(target: str):
    command = ["make", "--dry-run", "--always-make", target, "STACK=dev", "FN=sentiment"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"-r (\S+)", said) == ["requirements.txt"]
    assert "local.install" not in said and "torch" not in said


@pytest.mark.parametrize("stack", ["local", "dev"])
def test_nothing_is_installed_but_by_its_hash(stack: str):
    command = ["make", "--dry-run", "--always-make", "up", f"STACK={stack}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    installs = re.findall(r"pip .*? install (.*?)(?:2>|\|\||\\?$)", said, re.MULTILINE)
    assert installs and all("--require-hashes -r requirements" in options for options in installs), installs


def test_the_torch_to_work_with_is_the_one_in_the_images():
    here, there = (
        (ROOT / path).read_text() for path in ("requirements/torch.txt", "inference/requirements-torch.txt")
    )
    (version,) = re.findall(r"^torch==(\S+)", there, re.MULTILINE)
    hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", there)
    assert f"torch=={version} ; sys_platform" in here
    assert {*hashes} < {*re.findall(r"--hash=sha256:([0-9a-f]{64})", here)}
