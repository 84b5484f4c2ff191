"""Events: what the command sends is what the Lambda reads; what nobody sends is answered with its fault."""

from typing import Any

import pytest

from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.events import (
    Action,
    Event,
    JobsEvent,
    ModelEvent,
    PruneEvent,
    StatusEvent,
    event_from_json,
)
from warmup.protocol.models import ModelRequest, Use

MODEL = ModelRequest("org/m", "v1", (Use("fill-mask", "onnx", "fp32", ("a [MASK]",)), Use("text-generation")))
TINY = {"model": "org/m", "task": "fill-mask"}


@pytest.mark.parametrize(
    "event",
    [
        *(ModelEvent(action, (MODEL,), "job-1") for action in Action if action not in ("prune", "status")),
        ModelEvent(),
        PruneEvent((MODEL,), "org/m", True, "job-2"),
        PruneEvent(),
        JobsEvent(("a", "b")),
        JobsEvent(()),
        StatusEvent((MODEL,)),
        StatusEvent(),
    ],
)
def test_an_event_comes_back_from_json_as_it_was(event: Event) -> None:
    assert event_from_json(event.to_json()) == event


def test_an_empty_event_warms_what_the_scripts_declare() -> None:
    assert event_from_json({}) == ModelEvent(Action.WARM, (), None)


@pytest.mark.parametrize("entry", [{}, {"model": "org/m"}, {"model": "org/m", "task": "x", "revision": 1}])
def test_a_model_of_a_wrong_shape_is_shown_with_a_valid_one(entry: dict[str, object]) -> None:
    with pytest.raises(WarmupError, match=r"is not a model\. Write for instance \{\"model\": \"org/name\""):
        event_from_json({"models": [entry]})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "event: expected an object, got None"),
        ([1], r"event: expected an object, got \[1\]"),
        ("warm", "event: expected an object, got 'warm'"),
        (
            {"action": None},
            "action: None is not one of warm, plan, lacks, fetch, prepare, verify, try, prune, status",
        ),
        ({"action": ["warm"]}, r"action: \['warm'\] is not one of warm"),
        ({"action": {}}, "action: {} is not one of warm"),
        ({"modles": [TINY]}, "'modles' is not a key of warm.*did you mean models?"),
        ({"jobs": []}, "'jobs' is not a key of warm"),
        ({"action": "prune", "jobs": []}, "'jobs' is not a key of prune"),
        ({"models": TINY}, "models: expected a list"),
        ({"models": "org/m"}, "models: expected a list, got 'org/m'"),
        ({"models": 0}, "models: expected a list, got 0"),
        ({"models": [[TINY]]}, "is not a model"),
        ({"models": [None]}, "models: None is not a model"),
        ({"models": [{**TINY, "samples": "text"}]}, "samples: expected a list, got 'text'"),
        ({"models": [{**TINY, "rev": "v1"}]}, "rev: there is no such key"),
        ({"job": 3}, "event: job: expected text, got 3"),
        ({"action": "status", "jobs": "a"}, "event: jobs: expected a list, got 'a'"),
        ({"action": "status", "jobs": [1]}, r"event: jobs\[0\]: expected text, got 1"),
        ({"action": "prune", "only": 1}, "event: only: expected text, got 1"),
        ({"action": "prune", "only": "a\0"}, "x00' is not a repository. Write for instance"),
        ({"action": "prune", "only": "../x"}, "only: '../x' is not a repository. Write for instance"),
        ({"action": "prune", "only": "a" * 300}, "is not a repository. Write for instance"),
        ({"action": "prune", "only": ""}, "only: '' is not a repository. Write for instance"),
        ({"action": "prune", "dry_run": "yes"}, "event: dry_run: expected true or false, got 'yes'"),
    ],
)
def test_a_wrong_shape_is_a_usage_error_that_names_it(raw: Any, message: str) -> None:
    with pytest.raises(WarmupError, match=message) as caught:
        event_from_json(raw)
    assert caught.value.kind is ErrorKind.USAGE
