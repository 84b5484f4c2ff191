"""Asks every endpoint one real question, twice: cold and warm."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from discovery import Script

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.records import Json
from ..protocol.reports import EndpointAnswer, EndpointFailure, EndpointReport
from .stack import Invocation, StackClient

_NOT_SERVED = 503
"""The status of what is no fault of the request: its message is a sentence of ours."""
_OF_THE_CACHE = {"ColdCache", "DamagedCache", "EngineUnavailable", "UntrainedHead", "WrongTokenizer"}
"""What a plain script fails with in place of that status (`hf_lambda/errors.py`)."""
Commits = Callable[[str, str | None], str | None]
"""The warm commit of a repository at a revision."""


def ask_endpoints(
    client: StackClient,
    scripts: Sequence[Script],
    commits: Commits,
    *,
    parallel: int,
) -> list[EndpointReport]:
    """What each of `scripts` answers to its example, in their order."""

    def ask(script: Script) -> EndpointReport:
        try:
            return _asked_twice(client, script, commits)
        except WarmupError as error:
            return EndpointFailure(**_about(script, commits), error=str(error))

    with ThreadPoolExecutor(max_workers=parallel) as pool:
        return list(pool.map(ask, scripts))


@dataclass(frozen=True)
class Fault:
    """How an invocation failed. `status`: what the endpoint answered; None where it failed itself.

    is_of_the_endpoint: another event would fare no better, and `message` says what to do.
    """

    message: str
    status: int | None
    is_of_the_endpoint: bool
    text: str
    """For whoever asked one question: with the status, or with what was logged last."""


def fault_of(invocation: Invocation) -> Fault | None:
    """None where it was answered."""
    payload = invocation.payload
    if invocation.function_error:
        text = invocation.failure or ""
        kind = payload.get("errorType") if isinstance(payload, dict) else None
        return Fault(text.partition("\n")[0], None, kind in _OF_THE_CACHE, text)
    status = payload.get("statusCode") if isinstance(payload, dict) else None
    if not isinstance(status, int) or status < 400:
        return None
    body = payload.get("body")
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("message") if isinstance(error, dict) else None
    ours = status == _NOT_SERVED and said is not None
    text = f"answers {status}: {said if ours else json.dumps(body)}"
    return Fault(str(said or json.dumps(body, ensure_ascii=False)), status, ours, text)


def answer_body(payload: Json) -> Json:
    """An answer without the status and the headers around it."""
    return payload["body"] if isinstance(payload, dict) and "statusCode" in payload else payload


def request_line(log: str) -> dict[str, Json]:
    """The endpoint's own line about the request; a plain script has none."""
    return _line(log, "request")


def _about(script: Script, commits: Commits) -> dict[str, Json]:
    first = script.pipelines[0] if script.pipelines else None
    return {
        "name": script.name,
        "task": first.task if first else None,
        "repo_id": first.model if first else None,
        "commit": commits(first.model, first.revision) if first else None,
        "request": script.example,
    }


def _asked_twice(client: StackClient, script: Script, commits: Commits) -> EndpointAnswer:
    event = json.dumps(script.example).encode()
    first, second = client.ask(script.name, event), client.ask(script.name, event)
    for invocation in (first, second):
        if fault := fault_of(invocation):
            raise WarmupError(ErrorKind.ENDPOINT, fault.text + _hint(script, invocation))
    at_first, at_second = request_line(first.log), request_line(second.log)
    return EndpointAnswer(
        **_about(script, commits),
        engine=at_second.get("engine") or at_first.get("engine"),
        cold=at_first.get("cold"),
        cold_ms=round(first.seconds * 1000, 1),
        warm_ms=round(second.seconds * 1000, 1),
        phases={name: at_first[name] for name in ("import_ms", "load_ms", "infer_ms") if name in at_first},
        response=answer_body(second.payload),
    )


def _hint(script: Script, invocation: Invocation) -> str:
    """Why it may have failed, as far as script and log tell."""
    if error := _line(invocation.log, "fault").get("error"):
        where = next(iter(error.get("frames", [])[-1:]), "")
        message = f": {error['message']}" if error.get("message") else ""
        return f"; {error.get('type')}{message} ({where})"
    if not script.example:
        name = script.path.name
        return f"; it was asked with {{}}, as nothing says what it takes: write EXAMPLE = {{...}} in {name}"
    return ""


def _line(log: str, event: str) -> dict[str, Json]:
    """The last line of its own about `event`; empty without one."""
    for line in reversed(log.splitlines()):
        start = line.find("{")
        if start < 0:
            continue
        try:
            document = json.loads(line[start:])
        except ValueError:
            continue
        if isinstance(document, dict) and document.get("event") == event:
            return document
    return {}
