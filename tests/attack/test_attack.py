"""A few cases of each attack, in seconds; `.ci/run` runs a tenth of them, `make attack` all."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hf_lambda.integrity import DOCUMENT
from tests.attack import caches, files, hub, requests
from tests.attack.campaign import Outcome, run
from tests.attack.reliability import Record, write_report
from tests.attack.stage import SMALL, Stage, build_models, entry, stage


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("attack")
    with stage(root, build_models(root / "models")) as made:
        assert made.warm(entry(SMALL, "torch"))["state"] == "done"
        yield made


def held(outcomes: list[Outcome]) -> list[str]:
    return [f"{outcome.case}: {outcome.said}" for outcome in outcomes if not all(outcome.figures.values())]


@pytest.mark.usefixtures("in_process")
def test_faults_of_the_hub_are_named_and_leave_what_is_published(set_up: Stage, tmp_path: Path):
    models = set_up.cache.parent / "models"
    assert not held(run("hub", hub.cases(set_up, models, tmp_path, 4, 3)).outcomes)


def test_a_damaged_cache_is_told_and_repaired(set_up: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(caches, "MODELS", ((SMALL, "torch"),))
    assert not held(run("caches", caches.cases(set_up, tmp_path, 3, 6)).outcomes)


@pytest.mark.parametrize("name", sorted(caches.DAMAGES))
def test_every_damage_changes_what_it_damages(tmp_path: Path, name: str):
    path = tmp_path / DOCUMENT
    content = json.dumps({"files": {"a": {"size": 1, "sha256": "x"}}}).encode()
    path.write_bytes(content)
    caches.DAMAGES[name](path, random.Random(5))
    assert not path.is_file() or path.read_bytes() != content


def test_requests_that_nobody_means_well_are_answered_and_not_logged(set_up: Stage, tmp_path: Path):
    from hf_lambda.torch_engine import load
    from tests import tiny_encoders

    snapshot = tiny_encoders.build("bert", tmp_path / "model")
    tiny_encoders.save_head(snapshot, "AutoModelForSequenceClassification")
    task = "text-classification"
    handler = requests._handlers(task, load(task, snapshot))[""]
    target = requests.Target(task, task, handler, requests._drawn(task))
    outcomes = run("requests", requests.cases(set_up, [target], 2, 300)).outcomes
    assert not held(outcomes)
    assert {outcome.case for outcome in outcomes} == {task, "a plain script", "a warm-up event"}


@pytest.mark.parametrize("task", ["image-classification", "audio-classification"])
def test_files_that_nobody_means_well_are_answered_and_not_logged(tmp_path: Path, task: str):
    from hf_lambda.torch_engine import load

    engine = load(task, files.snapshot(task, tmp_path / "model"))
    for handler in requests._handlers(task, engine).values():
        target = requests.Target(task, task, handler, requests._drawn(task))
        outcomes = [requests._ask(target, random.Random(seed)) for seed in range(40)]
        assert not held(outcomes)


def test_what_is_wrong_is_seen_and_written_down(tmp_path: Path):
    def fails(given: object, context: object) -> object:
        return {"statusCode": 500}

    target = requests.Target("broken", "text-classification", fails, requests._drawn("text-classification"))
    outcome = requests._ask(target, random.Random(1))
    assert not outcome.figures[requests.ANSWERED]
    record = Record("requests", "a" * 40, "2026-11-27", 1, 1, 6.0, {"no 500": [0, 1]}, ["broken: 500"])
    write_report([record], tmp_path / "report.md", {"requests": 50, "kills": 5})
    written = (tmp_path / "report.md").read_text()
    row = "| fuzzed requests, both engines: no 500 | **0** | 1 | 1 | aaaaaaaaaaaa | 2026-11-27 | 0.1 |"
    assert row in written.splitlines()
    assert "broken: 500" in written
    assert "- fuzzed requests, both engines: 1 of the 50 cases of a whole run\n" in written
    assert "- kills of a warm-up: none\n" in written


def test_after_the_time_that_it_was_given_no_case_begins():
    said: list[str] = []
    cases = (lambda: Outcome("a case", {"held": True}) for _ in range(3))
    assert run("hub", cases, said.append, seconds=-1).outcomes == []
    assert said == ["hub: stopped after -1 s and 0 cases"]
