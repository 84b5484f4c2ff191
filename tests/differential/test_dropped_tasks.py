"""The tasks that transformers 5 dropped, judged by transformers 4, whose answers were recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hf_lambda import torch_engine
from hf_lambda.inputs import answer_in_list, answer_to_one, read_inputs
from hf_lambda.parameters import call_parameters
from tests.differential.dropped_calls import CALLS, FAMILIES, build
from tests.differential.record_dropped import RECORD, weights_of
from tests.families import others_slow
from tests.tiny_seq2seq import one_thread

RECORDED = json.loads(RECORD.read_text())
SCORE = 1e-5


def test_the_record_is_of_the_calls_that_are_listed() -> None:
    recorded = [
        (each["family"], each["task"], each["given"], each["parameters"]) for each in RECORDED["calls"]
    ]
    assert recorded == [(call.family, call.task, call.given, call.parameters) for call in CALLS]
    assert RECORDED["transformers"].startswith("4.")
    assert not [
        each for each in RECORDED["calls"] if isinstance(each["answer"], dict) and "error" in each["answer"]
    ]


@pytest.mark.parametrize("family", others_slow(FAMILIES, FAMILIES[0], FAMILIES[-1]))
def test_ours_are_the_answers_of_transformers_4(tmp_path: Path, family: str) -> None:
    folder = build(family, tmp_path / "model")
    assert weights_of(folder) == RECORDED["weights"][family], "the tiny model is another one: record again"
    engines: dict[str, Any] = {}
    with one_thread():
        for call in (each for each in RECORDED["calls"] if each["family"] == family):
            task = call["task"]
            engine = engines.get(task) or engines.setdefault(task, torch_engine.load(task, folder))
            assert _close(_answer(engine, task, call["given"], call["parameters"]), call["answer"]), call


def _answer(engine: Any, task: str, given: Any, parameters: dict[str, Any]) -> Any:
    """As hf_lambda.pipeline answers."""
    items, is_list = read_inputs(task, (given,), parameters)
    results = engine(items, **call_parameters(task, {}, parameters))
    if is_list:
        return [answer_in_list(task, result) for result in results]
    return answer_to_one(task, results[0], items[0])


def _close(ours: Any, theirs: Any) -> bool:
    """Equal, but for the last digits of scores."""
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(_close, ours, theirs))
    if isinstance(theirs, dict):
        return (
            isinstance(ours, dict)
            and set(ours) == set(theirs)
            and all(_close(ours[key], theirs[key]) for key in theirs)
        )
    return abs(ours - theirs) < SCORE if isinstance(theirs, float) else bool(ours == theirs)
