"""`pulumi new` with this repository as the template: another project with the same keys and files."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.program.declare import read_config
from tests.engine.stack import PACKAGES, ROOT, Stack


@pytest.fixture
def other(new: Stack, tmp_path: Path) -> Stack:
    """The project `other`, made by `pulumi new`, with a stack that has no file yet."""
    template = tmp_path / "template"
    template.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in (*PACKAGES, "inference"):
        shutil.copytree(ROOT / name, template / name, ignore=ignored)
    for path in (ROOT / "__main__.py", *ROOT.glob("Pulumi*.yaml"), ROOT / ".dockerignore"):
        shutil.copy(path, template)
    made = replace(new, folder=tmp_path / "other", name="mine")
    made.project.mkdir(parents=True)
    (made.folder / "states").mkdir()
    made.run("new", str(template), "--generate-only", "--yes", "--name", "other")
    (made.project / ".venv").symlink_to(sys.prefix)
    made.run("stack", "init", "mine")
    return made


def test_a_project_made_of_this_one_keeps_every_setting(other: Stack) -> None:
    ours, theirs = (_yaml(folder / "Pulumi.yaml") for folder in (ROOT, other.project))
    assert (theirs["name"], theirs["runtime"], "template" in theirs) == ("other", ours["runtime"], False)
    assert {key: theirs["config"].get(key) for key in ours["config"]} == ours["config"]
    for name in ("Pulumi.dev.yaml", "Pulumi.prod.yaml"):
        assert _yaml(other.project / name) == _yaml(ROOT / name)
    ours, theirs = (read_config(folder, "prod") for folder in (ROOT, other.project))
    assert {key.replace("hf-lambda:", "other:"): value for key, value in ours.items()} == {
        key: value for key, value in theirs.items() if not key.startswith("pulumi:")
    }


@pytest.mark.slow
def test_it_deploys_what_this_one_does(other: Stack, deployed: Stack) -> None:
    other.run("config", "set", "memoryMb", "2048")
    other.up()
    made, theirs = (
        {_comparable(key): each for key, each in stack.cloud().resources.items()}
        for stack in (deployed, other)
    )
    assert theirs.keys() == made.keys()
    function = theirs["aws:lambda/function:Function <stack>-sentiment"].inputs
    assert function["memorySize"] == 2048


def _comparable(key: str) -> str:
    """What is in a cloud, without its number and the names of project and stack."""
    return (
        re.sub(r"-[0-9a-f]{7}(?=:|$)", "", key)
        .replace("hf-lambda-dev", "<stack>")
        .replace("other-mine", "<stack>")
    )


def _yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content
