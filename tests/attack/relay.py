"""A relay that is killed, or between a Hub and an S3 that fail: what is warmed, what stays in the bucket."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from hf_lambda.manifest import repo_folder
from local.hub import Hub, serve
from local.hub.faults import Fault
from tests.warmup.lambda_api import Api, serve_functions
from warmup.worker.handler import handler
from warmup.worker.relay_handler import handler as relay_handler

from . import hub
from .campaign import Outcome
from .kills import child_process
from .stage import SMALL, Context, Stage, entry, is_same, shown

CASES = 120
ENDED, KEPT, RECOVERED, EMPTY = (
    "a fault that passes is sat out, one that stays is named",
    "the cache is the old one or the new one",
    "done once all is well",
    "no file stays in the bucket",
)
_BUCKET = "staging"
_STORAGE_MB = 512
_REQUESTS = 14
"""What a relay of this model sends to S3, and some more."""
_CODES = {
    "AccessDenied": 403,
    "ExpiredToken": 400,
    "InternalError": 500,
    "NoSuchBucket": 404,
    "RequestTimeout": 400,
    "SlowDown": 503,
    "AuthorizationHeaderMalformed": 400,
    "PermanentRedirect": 301,
}
"""The last two are what a bucket in another region says."""
_CUT = "an answer that is cut"
_PLACES: dict[str, Callable[[str, str], bool]] = {
    "anything": lambda method, path: True,
    "reads": lambda method, path: method == "GET",
    "writes": lambda method, path: method == "PUT",
    "deletes": lambda method, path: method == "POST",
    "files": lambda method, path: "/blobs/" in path,
    "trees": lambda method, path: "/trees/" in path,
    "refs": lambda method, path: "/refs/" in path,
    "jobs": lambda method, path: "/jobs/" in path,
}
_PATIENCE_S = 60
"""A relay of this model takes a second."""
_Answer = Callable[..., Any]


@dataclass
class FaultyS3:
    """WSGI around moto's: a fault strikes as often as it lasts; `before` is told of every request."""

    app: Any
    url: str = ""
    fault: str = ""
    place: str = ""
    left: int = 0
    before: Callable[[], None] = lambda: None

    def fail(self, fault: str, place: str, lasts: int) -> None:
        self.fault, self.place, self.left = fault, place, lasts

    def heal(self) -> None:
        self.left = 0

    def __call__(self, environ: Mapping[str, Any], start: _Answer) -> Iterable[bytes]:
        self.before()
        method, path = str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"])
        if self.left <= 0 or not _PLACES[self.place](method, path):
            found: Iterable[bytes] = self.app(environ, start)
            return found
        self.left -= 1
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{self.fault}</Code><Message>no</Message></Error>".encode()
        if self.fault == _CUT:
            start("200 OK", [("Content-Length", "4096"), ("ETag", '"x"')])
            return [b"x" * 100]
        start(f"{_CODES[self.fault]} no", [("Content-Length", str(len(body)))])
        return [] if method == "HEAD" else [body]


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *arguments: Any) -> None:  # noqa: A002
        """Nothing."""


@contextlib.contextmanager
def serve_faulty() -> Iterator[FaultyS3]:
    s3 = FaultyS3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, s3, threaded=True, request_handler=_Quiet)
    s3.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Relayed:
    """A warm-up over `stage`'s cache that has the bucket, and the relay of it that has `stage`'s Hub."""

    stage: Stage
    s3_url: str
    scratch: Path
    api: Api = field(default_factory=lambda: Api({}))
    other_files_bytes: int | None = None
    """Of /tmp, what is taken."""

    def variables(self) -> dict[str, str]:
        keys = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}
        return {
            **{f"AWS_{name}": value for name, value in keys.items()},
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            "AWS_ENDPOINT_URL_LAMBDA": self.api.url,
            "WARMUP_FUNCTION": self.api.arn("warmup"),
            "STAGING_BUCKET": _BUCKET,
            "RELAYED": "1",
            "RELAY_STORAGE_MB": str(_STORAGE_MB),
        }

    def relay(self, job: str) -> Mapping[str, Any]:
        event = {"action": "fetch", "models": [entry(SMALL, "torch")], "job": f"{job}-1"}
        with contextlib.ExitStack() as patches:
            patches.enter_context(mock.patch("tempfile.gettempdir", lambda: str(self.scratch)))
            if self.other_files_bytes is not None:
                where = "warmup.worker.relay_handler._OTHER_FILES_BYTES"
                patches.enter_context(mock.patch(where, self.other_files_bytes))
            return self._ask(event, relay_handler)

    def warm(self, job: str) -> Mapping[str, Any]:
        """As the command starts it beside the relay; what that left, it finds."""
        return self._ask({"action": "warm", "models": [entry(SMALL, "torch")], "relay": job}, handler)

    def _ask(self, event: Any, function: Callable[[Any, object], Mapping[str, Any]]) -> Mapping[str, Any]:
        with (
            mock.patch("warmup.worker.bucket.POLL_SECONDS", 0.01),
            mock.patch("warmup.worker.bucket.RELAY_GONE_SECONDS", 0.3),
            mock.patch("warmup.worker.relay_handler.HEARTBEAT_SECONDS", 0.1),
            # As many as it makes, without its pauses of seconds.
            mock.patch("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.001),
        ):
            return self.stage.invoke(event, function, **self.variables())[0]


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong."""

    name: str
    hub: tuple[str, Fault] | None = None
    """Place and fault."""
    s3: tuple[str, str] | None = None
    """Fault and place."""
    lasts: int = 1
    kill_before: int | None = None
    """The relay's n-th request to S3, counted from 1."""
    free_bytes: int | None = None
    """Of /tmp."""

    def __str__(self) -> str:
        return f"{self.name}, {self.lasts} times" if self.lasts > 1 else self.name


def troubles(draw: random.Random, largest: int) -> Iterator[Trouble]:
    """Without end. `largest`: bytes of the model's largest file."""
    of_hub = hub.faults(draw)
    while True:
        lasts = draw.choice((1, 2, hub.FOREVER))
        code, place = draw.choice([*_CODES, _CUT]), draw.choice(sorted(_PLACES))
        yield Trouble(f"S3: {code} to {place}", s3=(code, place), lasts=lasts)
        name, where, fault = next(of_hub)
        yield Trouble(f"Hub: {name}", hub=(hub.PATHS[where], fault), lasts=lasts)
        number = draw.randint(1, _REQUESTS)
        yield Trouble(f"kill before request {number} to S3", kill_before=number)
        free = largest + draw.choice((-largest, -1, 0, 1))
        yield Trouble(f"/tmp has {free} bytes", free_bytes=free)


def cases(
    stage: Stage, changed: Path, scratch: Path, seed: int, count: int
) -> Iterator[Callable[[], Outcome]]:
    """`count` troubles, over a cache that is cold or has the old commit; `stage` has it, the Hub the new."""
    draw = random.Random(seed)
    old = stage.ask(SMALL, "torch")
    with serve_faulty() as s3:
        here = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        client: Any = boto3.client("s3", endpoint_url=s3.url, **here)  # type: ignore[call-overload]
        client.create_bucket(Bucket=_BUCKET)
        largest = max(path.stat().st_size for path in (changed / SMALL).iterdir())
        new = _answer_of(changed, stage, scratch)
        if is_same(old, new):
            raise RuntimeError("the two commits answer alike")
        for trouble in itertools.islice(troubles(draw, largest), count):
            is_warm = draw.random() < 0.5
            yield partial(_case, stage, changed, scratch, s3, client, (old, new), trouble, is_warm)


def _answer_of(changed: Path, stage: Stage, scratch: Path) -> Any:
    with serve(Hub(changed)) as running, stage.copy(scratch / "relay-case") as copy:
        attacked = Stage(running.url, copy.cache)
        attacked.warm(entry(SMALL, "torch"))
        return attacked.ask(SMALL, "torch")


def _case(
    stage: Stage,
    changed: Path,
    scratch: Path,
    s3: FaultyS3,
    client: Any,
    answers: tuple[Any, Any],
    trouble: Trouble,
    is_warm: bool,
) -> Outcome:
    said: list[str] = []
    cache = scratch / "relay-case"
    shutil.rmtree(cache, ignore_errors=True)
    if is_warm:
        shutil.copytree(stage.cache, cache, symlinks=True)
    else:
        cache.mkdir()
    (scratch / "tmp").mkdir(exist_ok=True)
    _empty(client)
    served = Hub(changed)
    with serve(served) as running, serve_functions(Api({})) as api:
        stack = Relayed(Stage(running.url, cache), s3.url, scratch / "tmp", api)
        api.functions["warmup"] = lambda event: handler(event, Context())
        if trouble.hub:
            served.fail(*trouble.hub, trouble.lasts)
        if trouble.s3:
            s3.fail(*trouble.s3, trouble.lasts)
        states = (
            [_killed(stack, s3, trouble.kill_before)] if trouble.kill_before else [_relayed(stack, trouble)]
        )
        states.append(stack.warm("first"))
        named = all(map(_is_named, states))
        if not named:
            said.append(json.dumps(states)[:600])
        done = states[-1]["state"] == "done"
        kept = _kept(stack.stage, answers, must_answer=is_warm or done)
        said += [kept] if kept else []
        s3.heal()
        served.faults.clear()
        again = [stack.relay("again"), stack.warm("again")]
        answer = None if any(each["state"] != "done" for each in again) else stack.stage.ask(SMALL, "torch")
        recovered = is_same(answer, answers[1])
        if not recovered:
            said.append(f"then: {json.dumps(again)[:400]}, answers {answer}")
        left = _staged(client)
        said += [f"staged: {left}"] if left else []
    shutil.rmtree(cache, ignore_errors=True)
    figures = {ENDED: named, KEPT: kept is None, RECOVERED: recovered, EMPTY: not left}
    return Outcome(f"{trouble}{', warm before' if is_warm else ''}", figures, "; ".join(said))


def _relayed(stack: Relayed, trouble: Trouble) -> Mapping[str, Any]:
    if trouble.free_bytes is None:
        return stack.relay("first")
    return replace(stack, other_files_bytes=(_STORAGE_MB << 20) - trouble.free_bytes).relay("first")


def _killed(stack: Relayed, s3: FaultyS3, request: int) -> Mapping[str, Any]:
    """The relay in a process that is gone before its n-th request to S3 is answered."""
    seen = itertools.count(1)

    def before() -> None:
        if next(seen) == request:
            os.kill(child.pid or 0, signal.SIGKILL)

    # The warm-up, which the relay asks, runs in this process.
    with (
        mock.patch.dict(os.environ, stack.stage.variables(**stack.variables()), clear=True),
        child_process(_relay_alone, stack.stage, stack.s3_url, stack.scratch, stack.api.url) as child,
    ):
        s3.before = before
        child.join(_PATIENCE_S)
        hangs = child.is_alive()
        s3.before = _nothing
    return {"state": "failed"} if hangs else {"state": "done"}


def _relay_alone(stage: Stage, s3_url: str, scratch: Path, api_url: str) -> None:
    Relayed(stage, s3_url, scratch, Api({}, url=api_url)).relay("first")


def _nothing() -> None:
    pass


def _is_named(state: Mapping[str, Any]) -> bool:
    errors = [each.get("error") for each in (state.get("models") or {}).values()] + [state.get("error")]
    kinds = {error["kind"] for error in errors if error}
    return state["state"] == "done" or (bool(kinds) and "bug" not in kinds)


def _kept(stage: Stage, answers: tuple[Any, Any], *, must_answer: bool) -> str | None:
    """Why what the cache answers is neither; None where it is, or nothing is published and need not be."""
    try:
        answer = stage.ask(SMALL, "torch")
    except Exception as error:  # noqa: BLE001 - what an endpoint would answer with
        is_cold = getattr(error, "status", None) == 503 and not must_answer
        return None if is_cold else shown(error)
    return None if any(is_same(answer, each) for each in answers) else f"answers otherwise: {answer}"


def _staged(client: Any) -> list[str]:
    found = client.list_objects_v2(Bucket=_BUCKET, Prefix=f"{repo_folder(SMALL)}/blobs/")
    return [each["Key"] for each in found.get("Contents", [])]


def _empty(client: Any) -> None:
    for each in client.list_objects_v2(Bucket=_BUCKET).get("Contents", []):
        client.delete_object(Bucket=_BUCKET, Key=each["Key"])
