"""`python -m local doctor`: all checks together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from local import __main__ as local
from local.doctor import command
from local.doctor.report import Status
from tests.infra.program import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "inference").mkdir()
    shutil.copy(ROOT / "inference/sentiment.py", tmp_path / "inference")
    return tmp_path


def test_without_any_tool_it_says_what_is_missing_and_fails(capsys: pytest.CaptureFixture[str]):
    assert local.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "FAILED Docker engine" in text and "FAILED Pulumi CLI" in text and "FAILED AWS credentials" in text
    assert text.rstrip().endswith("3 things to mend: Docker engine, Pulumi CLI, AWS credentials")
    assert "lambda:CreateFunction" in text


def test_as_json_it_says_the_same(capsys: pytest.CaptureFixture[str]):
    assert local.main(["doctor", "--json", "--stack", "prod"]) == 1
    report = json.loads(capsys.readouterr().out)
    failed = {check["name"]: check["fix"] for check in report["checks"] if check["status"] == "failed"}
    assert report["stack"] == "prod"
    assert set(failed) == {"Docker engine", "Pulumi CLI", "AWS credentials"} and all(failed.values())
    assert report["policy"]["Version"] == "2012-10-17"


def test_a_mistake_in_the_settings_is_told_and_what_depends_on_it_is_not_looked_at(root: Path):
    (root / "Pulumi.dev.yaml").write_text("config:\n  memoryMb: 1\n  egres: nat\n")
    report = command.examine(root, "dev", {})
    (settings,) = (check for check in report.checks if check.name == "settings")
    assert settings.status is Status.FAILED
    assert "memoryMb is '1'; must be" in settings.found and "egres" in settings.found
    skipped = {check.name for check in report.checks if check.status is Status.SKIPPED}
    assert {"architecture", "AWS credentials", "region", "limits"} <= skipped
    assert report.policy is None
    assert any("memoryMb is '1'" in line for line in command.lines_of(report))


def test_no_secret_of_the_config_is_shown(root: Path):
    (root / "Pulumi.dev.yaml").write_text("config:\n  hfToken: hf_hidden\n  aws:secretKey: hidden_too\n")
    report = command.examine(root, "dev", {"PULUMI_ACCESS_TOKEN": "pul-hidden"})
    assert "hidden" not in json.dumps(report.to_json()) + "\n".join(command.lines_of(report))


def test_an_encrypted_config_needs_no_passphrase(root: Path):
    (root / "Pulumi.dev.yaml").write_text("config:\n  hfToken:\n    secure: v1:abc\n")
    report = command.examine(root, "dev", {})
    assert report.policy and "secretsmanager:CreateSecret" in json.dumps(report.policy)
