"""Steady load through the gateway: every answer right, and no instance grows."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from infra.function import CACHE_ENVIRONMENT
from local.program.functions import Function
from local.service.emulator import ROOT, Emulators
from local.service.gateway import Gateway
from local.service.http_api import serve
from local.service.isolation import available
from local.service.memory import anonymous_mb

from .campaign import Outcome
from .stage import SMALL, TEXT, Stage

SECONDS, CLIENTS = 180.0, 2
RIGHT, STEADY = "answered right", "no growth"
_MOST_GROWTH_MB = 30.0
SCRIPT = f'''"""Under load."""

from hf_lambda import endpoint, pipeline

classify = pipeline("text-classification", model="{SMALL}", engine="onnx", top_k=3)


@endpoint
def handler(text: str | list[str]):
    return classify(text)
'''


def cases(stage: Stage, scratch: Path, seconds: float) -> Iterator[Callable[[], Outcome]]:
    """One case for each request of the time given, and one for the memory of the instances."""
    root = scratch / "load"
    (root / "inference").mkdir(parents=True)
    (root / "inference" / "loaded.py").write_text(SCRIPT)
    (root / "hf_lambda").symlink_to(ROOT / "hf_lambda")
    shutil.copytree(stage.cache, root / "efs", symlinks=True)
    function = Function(
        name="loaded",
        function_name="loaded-1a2b3c4",
        arn="arn:aws:lambda:us-east-1:000000000000:function:loaded-1a2b3c4",
        command="loaded.handler",
        environment={**CACHE_ENVIRONMENT, "ENDPOINT_NAME": "loaded", "WARM_COMMAND": "x"},
        memory_mb=1769,
        timeout_s=30,
        mount=CACHE_ENVIRONMENT["MODEL_CACHE"],
        writes=False,
        target="slim",
    )
    binary = ROOT / ".local/bin/aws-lambda-rie"
    emulators = Emulators(
        cache=root / "efs",
        state=root / "state",
        isolation=available(root / "efs", root / "state"),
        binary=binary,
        root=root,
    )
    right = {"statusCode": 200, "body": stage.ask(SMALL, "onnx")}
    with serve(Gateway((function,), emulators)) as url:
        _asked(url, 1.0, right)
        pids = _sessions(root / "state")
        before = {pid: anonymous_mb(pid) for pid in pids}
        for is_right, said in _asked(url, seconds, right):
            yield partial(Outcome, "a request", {RIGHT: is_right}, said)
        growth = {pid: anonymous_mb(pid) - before.get(pid, 0.0) for pid in pids}
        worst = max(growth.values(), default=0.0)
        is_steady = bool(growth) and worst < _MOST_GROWTH_MB
        yield partial(Outcome, "memory", {STEADY: is_steady}, f"{worst:.0f} MB more after {seconds:.0f} s")


def _asked(url: str, seconds: float, right: object) -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    end = time.monotonic() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        with contextlib.closing(connection):
            while time.monotonic() < end:
                path = "/2015-03-31/functions/loaded-1a2b3c4/invocations"
                connection.request("POST", path, json.dumps({"text": TEXT}))
                body = connection.getresponse().read()
                is_right = json.loads(body) == right
                found.append((is_right, "" if is_right else body.decode(errors="replace")[:300]))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _sessions(state: Path) -> list[int]:
    """The instances' sessions, as `make down` finds them."""
    return [int(json.loads(path.read_text())["pid"]) for path in (state / "run").glob("*.json")]
