"""Steady load on an endpoint of every task through the gateway: every answer right, and no instance grows."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hf_lambda import endpoint
from hf_lambda.media.inputs import KINDS
from hf_lambda.pipeline import Pipeline
from infra.function import CACHE_ENVIRONMENT
from local.hub import Hub
from local.hub import serve as serve_hub
from local.program.functions import Function
from local.service.emulator import ROOT, Emulators
from local.service.gateway import Gateway
from local.service.http_api import serve
from local.service.isolation import available
from local.service.memory import anonymous_mb
from tests.media_support import base64_of, encoded, picture, sound, tones

from . import files, requests
from .campaign import Outcome
from .stage import TEXT, Context, Stage, is_same

SECONDS, CLIENTS = 1800.0, 2
RIGHT, STEADY = "answered right", "no growth"
_MOST_GROWTH_MB = 30.0
_DRAWN = ("text-to-audio",)
"""Tasks whose answers are drawn anew each time: those have the right status."""
_PICTURE = base64_of(encoded(picture(60, 80)))
_SOUND = base64_of(sound(tones(0.6)))
_LABELS = {"candidate_labels": ["a cat", "a dog"]}
_SHORT = {"max_new_tokens": 8}
_QUESTION = {"type": "choice", "instructions": "pet", "criteria": {"cat": "a cat", "dog": "a dog"}}
EVENTS: Mapping[str, dict[str, Any]] = {
    **{task: {"inputs": TEXT} for task in requests.ENCODERS},
    **{task: {"inputs": TEXT, **_SHORT} for task in requests.WRITERS},
    **{task: {"inputs": _PICTURE if KINDS.get(task) == "image" else _SOUND} for task in files.MODELS},
    "fill-mask": {"inputs": "The train to [MASK] leaves at noon."},
    "question-answering": {"inputs": {"question": "When does it leave?", "context": TEXT}},
    "zero-shot-classification": {"inputs": TEXT, **_LABELS},
    "text-ranking": {"inputs": {"query": "a train", "documents": [TEXT, "The coffee."]}},
    "zero-shot-image-classification": {"inputs": _PICTURE, **_LABELS},
    "zero-shot-object-detection": {"inputs": _PICTURE, **_LABELS, "threshold": 0.01},
    "zero-shot-audio-classification": {"inputs": _SOUND, **_LABELS},
    "keypoint-matching": {"inputs": [_PICTURE, _PICTURE]},
    "document-question-answering": {
        "inputs": {"image": _PICTURE, "question": "who", "word_boxes": [["cat", [0, 0, 10, 10]]]}
    },
    "image-text-to-text": {"inputs": {"images": [_PICTURE], "text": "<image> a cat"}, **_SHORT},
    "text-to-audio": {"inputs": "a cat"},
    "decision": {"inputs": {"state": "a cat sat", "questions": {"pet": _QUESTION}}},
}
"""What each task is asked."""
_SCRIPT = '''"""Under load."""

from hf_lambda import endpoint, pipeline

answer = pipeline("{task}", model="org/{task}")


@endpoint
def handler(inputs, **parameters):
    return answer(inputs, **parameters)
'''


def cases(scratch: Path, seconds: float) -> Iterator[Callable[[], Outcome]]:
    """Of each task a case for each request of its share of the time, and one for its instances' memory."""
    models = scratch / "load-models"
    for task in requests.TASKS:
        requests.snapshot_of(task, models / "org" / task)
    root = scratch / "load"
    (root / "inference").mkdir(parents=True)
    (root / "hf_lambda").symlink_to(ROOT / "hf_lambda")
    with serve_hub(Hub(models)) as running:
        warming = Stage(running.url, root / "efs")
        for task in requests.TASKS:
            entry = {"model": f"org/{task}", "revision": None, "task": task, "engine": "auto"}
            if (answer := warming.warm(entry))["state"] != "done":
                raise RuntimeError(f"{task} was not warmed: {answer}")
    emulators = Emulators(
        cache=root / "efs",
        state=root / "state",
        isolation=available(root / "efs", root / "state"),
        binary=ROOT / ".local/bin/aws-lambda-rie",
        root=root,
    )
    for number, task in enumerate(requests.TASKS):
        name = f"loaded{number}"
        (root / "inference" / f"{name}.py").write_text(_SCRIPT.format(task=task))
        right = _right(warming.pipeline(task, f"org/{task}"), EVENTS[task])
        yield from _loaded(emulators, name, task, seconds / len(requests.TASKS), right)


def _right(served: Pipeline, event: Mapping[str, Any]) -> Any:
    """What the endpoint answers `event` in this process, as JSON."""

    @endpoint
    def handler(inputs: Any, **parameters: Any) -> Any:
        return served(inputs, **parameters)

    reply = handler(dict(event), Context())
    if reply["statusCode"] != 200:
        raise RuntimeError(f"{served.task} is not answered: {reply}")
    return json.loads(json.dumps(reply["body"]))


def _loaded(
    emulators: Emulators, name: str, task: str, seconds: float, right: Any
) -> Iterator[Callable[[], Outcome]]:
    function = Function(
        name=name,
        function_name=f"{name}-1a2b3c4",
        arn=f"arn:aws:lambda:us-east-1:000000000000:function:{name}-1a2b3c4",
        command=f"{name}.handler",
        environment={**CACHE_ENVIRONMENT, "ENDPOINT_NAME": name, "WARM_COMMAND": "x"},
        memory_mb=3008,
        timeout_s=60,
        mount=CACHE_ENVIRONMENT["MODEL_CACHE"],
        writes=False,
        target="full",
    )
    with serve(Gateway((function,), emulators)) as url:
        # Until every instance has answered, and has done all that it does once.
        _asked(url, function, task, 1.0)
        _asked(url, function, task, 5.0)
        pids = _sessions(emulators.state)
        before = {pid: anonymous_mb(pid) for pid in pids}
        for status, answer in _asked(url, function, task, seconds):
            is_right = status == 200 and (task in _DRAWN or is_same(answer, right))
            said = "" if is_right else f"{status} {json.dumps(answer)[:300]}"
            yield partial(Outcome, f"{task}: a request", {RIGHT: is_right}, said)
        growth = {pid: anonymous_mb(pid) - before[pid] for pid in pids}
        worst = max(growth.values(), default=0.0)
        is_steady = bool(growth) and worst < _MOST_GROWTH_MB
        yield partial(Outcome, f"{task}: memory", {STEADY: is_steady}, f"{worst:.0f} MB more")


def _asked(url: str, function: Function, task: str, seconds: float) -> list[tuple[int, Any]]:
    """Status and body of what two clients are answered in that time."""
    found: list[tuple[int, Any]] = []
    end = time.monotonic() + seconds
    event, path = json.dumps(EVENTS[task]), f"/2015-03-31/functions/{function.function_name}/invocations"

    def ask() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        with contextlib.closing(connection):
            while time.monotonic() < end:
                connection.request("POST", path, event)
                answer = json.loads(connection.getresponse().read())
                found.append((answer.get("statusCode", 500), answer.get("body", answer)))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _sessions(state: Path) -> list[int]:
    """The instances' sessions, as `make down` finds them."""
    return [int(json.loads(path.read_text())["pid"]) for path in (state / "run").glob("*.json")]
