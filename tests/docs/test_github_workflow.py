"""examples/github-workflow.yml: what runs when, by pinned actions, without a key."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "examples/github-workflow.yml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
(JOB,) = WORKFLOW["jobs"].values()
STEPS: list[dict[str, Any]] = JOB["steps"]
SECRETS = {"SecretAccessKey": "a secret", "SessionToken": "a session", "AccessKeyId": "AKIA"}


def commands_on(event: str) -> list[str]:
    """The first words of what runs on `event`; a step without a condition runs on each."""
    conditions = (None, f"github.event_name == '{event}'")
    runs = [step["run"] for step in STEPS if "run" in step and step.get("if") in conditions]
    return [command for run in runs for command in re.findall(r"pulumi \w+|python -m warmup", run)]


def test_a_pull_request_is_previewed_and_main_is_deployed_and_warmed() -> None:
    assert WORKFLOW[True] == {"push": {"branches": ["main"]}, "pull_request": None}  # YAML reads `on` so
    assert commands_on("pull_request") == ["pulumi install", "pulumi preview"]
    assert commands_on("push") == ["pulumi install", "pulumi up", "python -m warmup"]
    assert {step["if"] for step in STEPS if "if" in step} == {
        f"github.event_name == '{event}'" for event in ("push", "pull_request")
    }


def test_its_actions_are_those_of_our_own_workflow_by_the_same_commits() -> None:
    ours = (ROOT / ".github/workflows/ci.yml").read_text()
    pattern = r"uses: (\S+@[0-9a-f]{40} # v[\d.]+)$"
    named = re.findall(pattern, TEXT, re.MULTILINE)
    assert len(named) == len([step for step in STEPS if "uses" in step])
    assert set(named) <= set(re.findall(pattern, ours, re.MULTILINE))
    versions = [re.findall(r"pulumi-version: (\S+)", text) for text in (TEXT, ours)]
    assert versions[0] == versions[1]


def test_it_knows_no_key_and_may_do_no_more_than_it_needs() -> None:
    assert "secrets." not in TEXT
    assert WORKFLOW["permissions"] == {"contents": "read", "id-token": "write"}
    assert "github.event.pull_request.head.repo.full_name == github.repository" in JOB["if"]
    named = set(re.findall(r"vars\.(\w+)", TEXT))
    described = TEXT[: TEXT.index("name: deploy")]
    assert all(name in described for name in named)


def test_values_of_github_reach_no_shell() -> None:
    """What a run was started with would otherwise be run."""
    assert [step["run"] for step in STEPS if "${{" in step.get("run", "")] == []


@pytest.mark.skipif(shutil.which("jq") is None, reason="GitHub's machines have jq")
def test_the_role_is_assumed_with_what_github_vouches_for_and_nothing_is_shown(tmp_path: Path) -> None:
    for name, script in {
        "curl": 'echo "$@" >> "$CALLS"; echo \'{"value": "a token"}\'',
        "aws": f'echo "$@" >> "$CALLS"; echo \'{json.dumps(SECRETS)}\'',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (step,) = (step for step in STEPS if step.get("name") == "assume the role")
    variables = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "GITHUB_ENV": str(tmp_path / "env"),
        "GITHUB_RUN_ID": "7",
        "ROLE": "arn:aws:iam::123456789012:role/deploy",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "vouched",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example/token?api=1",
    }
    assert WORKFLOW["defaults"] == {"run": {"shell": "bash"}}
    command = ["bash", "-eo", "pipefail", "-c", step["run"]]  # as GitHub then runs it
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=30)
    asked, assumed = (tmp_path / "calls").read_text().splitlines()
    assert "https://github.example/token?api=1&audience=sts.amazonaws.com" in asked
    assert f"--role-arn {variables['ROLE']} --web-identity-token a token" in assumed
    assert (tmp_path / "env").read_text().splitlines() == [
        "AWS_ACCESS_KEY_ID=AKIA",
        "AWS_SECRET_ACCESS_KEY=a secret",
        "AWS_SESSION_TOKEN=a session",
    ]
    masked = {f"::add-mask::{value}" for value in ("a token", "a secret", "a session")}
    assert set(done.stdout.splitlines()) == masked
