"""The Lambda Invoke API and Function URLs: requests go to pools of instances."""

import base64
import contextlib
import functools
import json
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from local.program.functions import Function, FunctionUrl
from local.service import function_urls
from local.service.emulator import StreamingEmulator
from local.service.function_urls import UrlRequest
from local.service.instances import InstanceError, InvocationResult, Pool, Runtime, Throttled
from local.service.lambda_api import (
    LOG_TAIL_BYTES,
    SYNC_LIMIT_BYTES,
    VERSION,
    ApiError,
    Reply,
    check_payload,
    concurrency,
    configuration,
    find,
    qualifier_of,
    throttled,
)
from local.service.results import AsyncEvent, Result
from local.service.streaming import Cut, prelude
from local.service.versions import Alias, Versions
from warmup.cli.versions import ALIAS
from warmup.protocol.records import Key, Record, WrongShape

_ALIASES = "aliases/"
IDLE_S = 300
"""Instances unused for so long are ended, as Lambda does after a while."""
RETRY_DELAYS_S = (60.0, 120.0)
"""Lambda's waits before it tries a failed asynchronous invocation again."""


@dataclass(frozen=True)
class _Configuration(Record):
    strict = True

    memory_mb: Annotated[int | None, Key("MemorySize")] = None


@dataclass(frozen=True)
class Streaming:
    """An answer that has begun: its pieces, once; then what the instance logged of it."""

    pieces: Iterator[bytes]
    """Raise Cut where the answer breaks off."""
    finish: Callable[[], None]
    """Ends the request; its last line is in the log then. Safe to repeat."""
    log: Callable[[], str]
    is_error: bool = False
    """The function failed, and the pieces are Lambda's error object."""

    @classmethod
    def of(cls, result: InvocationResult) -> "Streaming":
        return cls(iter([result.payload]), lambda: None, lambda: result.log, result.error)


class Gateway:
    """Answers for `functions` until closed."""

    def __init__(
        self,
        functions: Sequence[Function],
        runtime: Runtime,
        *,
        idle_s: float = IDLE_S,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
        aliases: Mapping[str, Alias] | None = None,
        alias_moved: Callable[[str, Alias], None] = lambda name, alias: None,
        deliver: Callable[[Function, Result], None] = lambda function, result: None,
    ) -> None:
        """Of a function that is there several times these are its versions, the oldest first.

        aliases: by function, as they were left; else the newest version serves. deliver: gets what became of
        asynchronous requests to functions that keep it.
        """
        self._runtime, self._alias_moved = runtime, alias_moved
        self.functions = {function.function_name: function for function in functions}
        self._versions = {
            name: self._published(each, (aliases or {}).get(name))
            for name, each in _by_name(functions).items()
        }
        self._idle_s, self._deliver = idle_s, deliver
        self._retry_delays_s = retry_delays_s
        self._closing = threading.Event()
        threading.Thread(target=self._retire, name="retire", daemon=True).start()

    def close(self) -> None:
        """End all instances."""
        self._closing.set()
        for pool in self._every_pool():
            pool.close()

    def replace(self, functions: Sequence[Function], changed: Collection[str]) -> None:
        """Serve `functions` from now on; what is new, declared otherwise or in `changed` starts anew.

        What is being answered is answered to its end. Everything else keeps its instances.
        """
        before, versions = self._versions, dict[str, Versions]()
        for name, published in _by_name(functions).items():
            known = before.get(name)
            same = known is not None and [pool.function for pool in known.pools.values()] == published
            if known and same and published[-1].name not in changed:
                versions[name] = known
            else:
                versions[name] = self._published(published, known.alias if known else None)
        # Each is replaced whole: a request sees either.
        self._versions = versions
        self.functions = {function.function_name: function for function in functions}
        for name, known in before.items():
            if versions.get(name) is not known:
                for pool in known.pools.values():
                    pool.drain()

    def _published(self, published: Sequence[Function], alias: Alias | None) -> Versions:
        newest = published[-1]
        return Versions(
            published,
            self._runtime,
            alias=alias or Alias(ALIAS, newest.version or VERSION),
            moved=functools.partial(self._alias_moved, newest.function_name),
        )

    def invoke(
        self, name: str, kind: str, payload: bytes, *, tail: bool, client_context: str | None
    ) -> Reply:
        """One Invoke call. Raises ApiError."""
        function = find(self.functions, name)
        pool = self._of(function).pool(qualifier_of(name))
        check_payload(payload, kind)
        payload = payload or b"{}"
        if kind == "DryRun":
            return Reply(204)
        if kind == "Event":
            request_id = str(uuid.uuid4())
            event = AsyncEvent(request_id, qualifier_of(name), payload, time.time())
            arguments = (pool, event, client_context)
            threading.Thread(
                target=self._run_later, args=arguments, name=f"event {name}", daemon=True
            ).start()
            return Reply(202, b"", {"x-amzn-RequestId": request_id})
        if kind != "RequestResponse":
            message = f"Invocation type {kind} is not known: RequestResponse, Event or DryRun"
            raise ApiError(400, "InvalidParameterValueException", message)
        answer = self._run(pool, payload, client_context)
        version = pool.function.version or VERSION
        headers = {"X-Amz-Executed-Version": version, "x-amzn-RequestId": answer.request_id}
        if answer.error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if tail:
            headers["X-Amz-Log-Result"] = base64.b64encode(answer.log.encode()[-LOG_TAIL_BYTES:]).decode()
        return Reply(200, answer.payload, {"Content-Type": "application/json", **headers})

    def endpoint(self, name: str) -> Function:
        """The function of the script `name`. Raises ApiError."""
        function = next((each for each in self.functions.values() if each.name == name), None)
        if function is None or not function.is_endpoint:
            names = ", ".join(sorted(each.name for each in self.functions.values() if each.is_endpoint))
            raise ApiError(
                404, "ResourceNotFoundException", f"No endpoint is called {name!r}; there are: {names}"
            )
        return function

    def ask(self, name: str, payload: bytes) -> InvocationResult:
        """What the script `name` answers to an event, with its log. Raises ApiError."""
        function = self.endpoint(name)
        check_payload(payload, "RequestResponse")
        return self._run(self._serving(function), payload, None)

    @contextlib.contextmanager
    def ask_streaming(self, name: str, payload: bytes) -> Iterator[Streaming]:
        """As `ask`, while the answer is made. Leaving the block ends it. Raises ApiError."""
        function = self.endpoint(name)
        check_payload(payload, "RequestResponse")
        with self._refusals(function), self._serving(function).lease() as instance:
            if not isinstance(instance, StreamingEmulator):  # a container, whose emulator waits for all of it
                yield Streaming.of(instance.invoke(payload))
                return
            with contextlib.ExitStack() as request:
                opened = request.enter_context(instance.open(payload))
                if isinstance(opened, InvocationResult):
                    yield Streaming.of(opened)
                else:
                    answer = opened.answer
                    yield Streaming(answer.pieces, request.close, instance.said, answer.is_error)

    def retire(self, name: str) -> int:
        """Stop the idle instances of the script `name`: its next request is a cold start. Raises ApiError."""
        versions = self._of(self.endpoint(name))
        return sum(pool.retire(0) for pool in versions.pools.values())

    def describe(self, name: str | None, what: str) -> Reply:
        """ListFunctions, ListVersionsByFunction, GetAlias, GetFunction, GetFunctionConfiguration or
        GetFunctionConcurrency. Raises ApiError."""
        if name is None:
            return _json(
                {"Functions": [configuration(each) for each in self.functions.values()], "NextMarker": None}
            )
        function = find(self.functions, name)
        if what == "concurrency":
            return _json(concurrency(function))
        versions = self._of(function)
        if what == "versions":
            there = [configuration(pool.function) for pool in versions.pools.values()]
            return _json({"Versions": there, "NextMarker": None})
        if what.startswith(_ALIASES):
            return _json(versions.describe(what.removeprefix(_ALIASES)))
        found = configuration(function)
        return _json(found if what else {"Configuration": found, "Code": {"RepositoryType": "ECR"}})

    def update_alias(self, name: str, what: str, body: bytes) -> Reply:
        """UpdateAlias. Raises ApiError."""
        function = find(self.functions, name)
        return _json(self._of(function).update(what.removeprefix(_ALIASES), body))

    def configure(self, name: str, changes: bytes) -> Reply:
        """UpdateFunctionConfiguration, of the memory alone. Raises ApiError."""
        function = find(self.functions, name)
        try:
            asked = _Configuration.from_json(json.loads(changes or b"{}")).memory_mb
            memory_mb = function.memory_mb if asked is None else asked
            if not 128 <= memory_mb <= 10240:
                raise ValueError(f"MemorySize is {memory_mb}")
        except (ValueError, WrongShape) as error:
            message = f"{error}; this changes MemorySize alone, from 128 to 10240"
            raise ApiError(400, "InvalidParameterValueException", message) from None
        function = replace(function, memory_mb=memory_mb)
        self.functions[function.function_name] = function
        self._of(function).configure(function)
        return _json(configuration(function))

    def call_url(self, name: str, request: UrlRequest) -> Reply:
        """One request to the Function URL of the script `name`. Raises ApiError."""
        function = self.endpoint(name)
        # On AWS `functionUrl` asks for an address; on loopback one costs nothing and opens nothing.
        function_url = function.url or FunctionUrl(needs_signature=False)
        cors = function_url.cors
        if cors and request.is_preflight:
            return function_urls.preflight(cors, request)
        answer = self._call_url(function, function_url, request)
        return function_urls.with_cors(answer, cors, request) if cors else answer

    def _call_url(self, function: Function, url: FunctionUrl, request: UrlRequest) -> Reply:
        if url.needs_signature and not request.is_signed:
            return function_urls.forbidden()
        payload = function_urls.event(request)
        if len(payload) > SYNC_LIMIT_BYTES:
            raise ApiError(413, "RequestTooLargeException", "Request body is too large")
        if function.streams:
            return self._stream(function, payload)
        return function_urls.reply(self._run(self._serving(function), payload, None))

    def _stream(self, function: Function, payload: bytes) -> Reply:
        """What the function sends, as it comes; the instance is busy until the answer is closed."""
        with self._refusals(function), contextlib.ExitStack() as stack:
            instance = stack.enter_context(self._serving(function).lease())
            if not isinstance(instance, StreamingEmulator):  # a container, whose emulator waits for all of it
                return function_urls.reply(instance.invoke(payload))
            opened = stack.enter_context(instance.open(payload))
            if isinstance(opened, InvocationResult):
                return function_urls.reply(opened)
            answer = opened.answer
            try:
                if answer.is_streamed:
                    status, headers, pieces = prelude(answer)
                    return Reply(status, b"", headers, _Holding(pieces, stack.pop_all()))
                body = b"".join(answer.pieces)
            except Cut:
                return function_urls.reply(InvocationResult(b"", True, "", opened.request_id))
            return function_urls.reply(InvocationResult(body, answer.is_error, "", opened.request_id))

    def _run(
        self, pool: Pool, payload: bytes, client_context: str | None, *, wait: bool = False
    ) -> InvocationResult:
        with self._refusals(pool.function):
            return pool.invoke(payload, client_context, wait=wait)

    @contextlib.contextmanager
    def _refusals(self, function: Function) -> Iterator[None]:
        """What Lambda answers where there is no instance to be had."""
        try:
            yield
        except Throttled:
            raise throttled(function) from None
        except InstanceError as error:
            raise ApiError(500, "ServiceException", str(error)) from error

    def _run_later(self, pool: Pool, event: AsyncEvent, client_context: str | None) -> None:
        """Lambda's own order: tried, and again where it failed, until that is too often or too old."""
        function, answer, tries = pool.function, None, 0
        began = time.monotonic()
        condition = "RetriesExhausted"
        for delay_s in [0.0, *self._retry_delays_s[: function.retries]]:
            if tries and time.monotonic() - began + delay_s > function.max_age_s:
                condition = "EventAgeExceeded"
                break
            if self._closing.wait(delay_s):
                return
            tries += 1
            with contextlib.suppress(ApiError):
                answer = self._run(pool, event.payload, client_context, wait=True)
                if not answer.error:
                    condition = "Success"
                    break
        if function.keeps_results:
            self._deliver(function, event.result(function, condition, tries, answer))

    def _retire(self) -> None:
        while not self._closing.wait(min(self._idle_s, 15)):
            for pool in self._every_pool():
                pool.retire(self._idle_s)

    def _of(self, function: Function) -> Versions:
        """Raises ApiError for a function that was taken away meanwhile."""
        found = self._versions.get(function.function_name)
        if found is None:
            raise ApiError(404, "ResourceNotFoundException", f"{function.name!r} was taken away")
        return found

    def _every_pool(self) -> Iterator[Pool]:
        for versions in [*self._versions.values()]:
            yield from versions.pools.values()

    def _serving(self, function: Function) -> Pool:
        """What the endpoint's address leads to."""
        return self._of(function).pool(ALIAS)


def _by_name(functions: Sequence[Function]) -> dict[str, list[Function]]:
    """The versions of each, the oldest first."""
    found: dict[str, list[Function]] = {}
    for each in functions:
        found.setdefault(each.function_name, []).append(each)
    return found


class _Holding:
    """Pieces of an answer, and what is let go of when they are closed: begun, finished or neither."""

    def __init__(self, pieces: Iterator[bytes], stack: contextlib.ExitStack) -> None:
        self._pieces, self._stack = pieces, stack

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._stack.close()


def _json(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
