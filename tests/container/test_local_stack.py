"""`make up HOST=container`: the whole local stack in a container, as it is on macOS, used from outside."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request

import pytest

from local.in_container import LABEL
from tests.container.support import ROOT

PARTS = ("hf_lambda", "discovery", "warmup", "infra", "local", "requirements")
FILES = ("__main__.py", "Pulumi.yaml", "Makefile", "requirements.txt", ".dockerignore")
MODEL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"


@pytest.fixture
def checkout(engine, tmp_path):
    """With one endpoint, and with its stand-in where that is built already; nothing of it runs afterwards."""
    root = tmp_path / "a checkout"
    for name in PARTS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, root / name)
    (root / "inference").mkdir()
    for name in ("sentiment.py", *(path.name for path in (ROOT / "inference").glob("requirements-*.txt"))):
        shutil.copy2(ROOT / "inference" / name, root / "inference" / name)
    if (built := ROOT / ".local/models" / MODEL).is_dir():
        shutil.copytree(built, root / ".local/models" / MODEL)
    yield root
    make(root, "down")
    assert engine.text("ps", "--all", "--quiet", f"--filter=label={LABEL}={root}") == ""


def make(root, *arguments, **options):
    """As a user would, with the packages that are here in place of an environment of the copy's own."""
    command = ["make", "-s", f"PY={sys.executable}", "-o", ".venv/.ready-to-deploy", *arguments]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, timeout=1500, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_stack_in_a_container_is_used_from_outside_as_one_without(engine, checkout, tmp_path):
    said = make(checkout, "up", "HOST=container")
    assert "(HOST=container)" in said and "sentiment" in said
    container = json.loads((checkout / ".local/container.json").read_text())

    # By the same commands, though nothing of the stack runs here.
    event = tmp_path / "event.json"  # a file that the container does not see
    event.write_text('{"text": "I love this"}')
    assert (
        json.loads(make(checkout, "invoke", "FN=sentiment", f"EVENT=@{event}"))["body"]["label"] == "POSITIVE"
    )
    assert '"event": "request"' in make(checkout, "logs", "FN=sentiment")
    make(checkout, "warm")

    # By its addresses, which are published on loopback and nowhere else.
    outputs = json.loads((checkout / ".local/outputs.json").read_text())
    asked = urllib.request.Request(outputs["functionUrls"]["sentiment"], event.read_bytes(), method="POST")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert json.load(answer)["label"] == "POSITIVE"
    page = (checkout / ".local/run/page.url").read_text().partition("#")[0]
    assert page in said
    with urllib.request.urlopen(page, timeout=60) as answer:
        assert b"<html" in answer.read()
    published = engine.text("port", container["name"]).splitlines()
    assert published and all(" -> 127.0.0.1:" in line for line in published)

    # Its files are the user's, and its packages none of the checkout's.
    owners = {path.stat().st_uid for path in (checkout / ".local").rglob("*") if path.exists()}
    assert owners == {os.getuid()} and not (checkout / ".venv").exists()

    assert make(checkout, "down").startswith("stopped")
    assert engine.text("ps", "--all", "--quiet", f"--filter=label={LABEL}={checkout}") == ""
    assert container["name"] not in engine.text("network", "ls", "--format", "{{.Name}}").split()
    assert not (checkout / ".local/container.json").exists() and (checkout / ".local/efs").is_dir()
    with pytest.raises(OSError):
        urllib.request.urlopen(page, timeout=60)
