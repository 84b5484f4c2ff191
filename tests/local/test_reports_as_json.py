"""Every command that reports something says it as JSON too, alone on standard output."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from local import __main__ as local
from local.layout import Folder
from local.upgrade import Upgrade, UpgradeError
from warmup import __main__ as warmup

NO_REPORT = {"completion", "dev"}
"""What writes for a shell, and what reports as it goes."""


def parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: each
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, each in action.choices.items()
    }


def test_every_command_takes_json():
    every = {**parsers(warmup.whole_parser()), **parsers(local._parser())}
    assert {"warm", "prune", "up", "down", "invoke", "logs", "cost", "doctor", "upgrade"} <= every.keys()
    without = {name for name, each in every.items() if "--json" not in each._option_string_actions}
    assert without == NO_REPORT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A stack that wrote something and runs no longer."""
    folder = Folder(tmp_path / ".local", tmp_path)
    folder.logs.mkdir(parents=True)
    (folder.logs / "names.log").write_text("one\ntwo\n")
    (folder.logs / "topics.log").write_text("three\n")
    monkeypatch.setattr(local, "FOLDER", folder)
    return folder


def test_logs_are_lines_by_function(folder: Folder, capsys: pytest.CaptureFixture[str]):
    assert local.main(["logs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "functions": {"names": ["one", "two"], "topics": ["three"]}
    }
    assert local.main(["logs", "--json", "topics"]) == 0
    assert json.loads(capsys.readouterr().out) == {"functions": {"topics": ["three"]}}
    assert local.main(["logs", "--json", "nope"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "there are: names, topics" in said.err


def test_where_nothing_was_logged_that_is_said(folder: Folder, capsys: pytest.CaptureFixture[str]):
    for path in folder.logs.iterdir():
        path.unlink()
    assert local.main(["logs"]) == 0
    said = capsys.readouterr()
    assert said.out == "" and "`make up` starts the stack" in said.err


def test_down_says_whether_there_was_something_to_stop(folder: Folder, capsys: pytest.CaptureFixture[str]):
    assert local.main(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": False}


@pytest.mark.parametrize(
    ("answer", "failed", "shown"),
    [('{"statusCode": 200}', False, {"statusCode": 200}), ("no JSON", True, "no JSON")],
)
def test_an_answer_comes_with_what_was_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    failed: bool,
    shown: object,
):
    monkeypatch.setattr(local, "invoke", lambda *_: (answer, failed))
    assert local.main(["invoke", "names", "{}", "--json", "--stack", "dev"]) == int(failed)
    report = {"function": "names", "stack": "dev", "answer": shown, "failed": failed}
    assert json.loads(capsys.readouterr().out) == report


def test_an_upgrade_says_what_it_wrote(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    found = Upgrade("v0.2.0", "v0.1.0", is_new=True, written=("infra/a.py",), commit="abc")
    monkeypatch.setattr(local, "upgrade", lambda *_: found)
    assert local.main(["upgrade", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["release"], report["written"], report["commit"]) == ("v0.2.0", ["infra/a.py"], "abc")
    monkeypatch.setattr(local, "upgrade", _refuse)
    assert local.main(["upgrade", "--json"]) == 1
    assert capsys.readouterr() == ("", "changed here\n")


def _refuse(*_: object) -> None:
    raise UpgradeError("changed here")
