"""Asks every endpoint one real question, twice: cold and warm."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from discovery import Script

from ..errors import WarmupError
from .client import Answer, Lambdas
from .outputs import Deployment


def ask_endpoints(
    lambdas: Lambdas,
    deployment: Deployment,
    scripts: Sequence[Script],
    commits: Callable[[str, str | None], str | None],
    *,
    parallel: int,
) -> list[dict[str, Any]]:
    """The report's `endpoints`, in the order of `scripts`; one that fails has `error` in place of an answer.

    `commits` gives the warm commit of a model at a revision.
    """

    def ask(script: Script) -> dict[str, Any]:
        entry = _about(script, commits)
        try:
            arn = deployment.functions.get(script.name)
            if arn is None:
                raise WarmupError("not deployed", f"{script.path.name} is not deployed. Run {deployment.up}")
            return {**entry, **_asked_twice(lambdas, arn, script)}
        except WarmupError as error:
            return {**entry, "error": str(error)}

    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        return list(pool.map(ask, scripts))


def _about(script: Script, commits: Callable[[str, str | None], str | None]) -> dict[str, Any]:
    first = script.pipelines[0] if script.pipelines else None
    return {
        "name": script.name,
        "task": first.task if first else None,
        "model": first.model if first else None,
        "commit": commits(first.model, first.revision) if first else None,
        "request": script.example,
    }


def _asked_twice(lambdas: Lambdas, arn: str, script: Script) -> dict[str, Any]:
    answers = [lambdas.ask(arn, script.example) for _ in range(2)]
    for answer in answers:
        fault = _fault(answer)
        if fault:
            raise WarmupError("endpoint", fault)
    logged = [_request_line(answer.log) for answer in answers]
    cold, warm = (round(answer.seconds * 1000, 1) for answer in answers)
    return {
        "engine": logged[1].get("engine") or logged[0].get("engine"),
        "cold": logged[0].get("cold"),
        "cold_ms": cold,
        "warm_ms": warm,
        "phases": {
            name: logged[0][name] for name in ("import_ms", "load_ms", "infer_ms") if name in logged[0]
        },
        "response": _body(answers[1].payload),
    }


def _fault(answer: Answer) -> str | None:
    payload = answer.payload
    if answer.function_error:
        return answer.failure
    if (
        isinstance(payload, dict)
        and isinstance(payload.get("statusCode"), int)
        and payload["statusCode"] >= 400
    ):
        return f"answers {payload['statusCode']}: {json.dumps(payload.get('body'))}"
    return None


def _request_line(log: str) -> dict[str, Any]:
    """The endpoint's own line about the request; a plain script has none."""
    for line in reversed(log.splitlines()):
        start = line.find("{")
        if start < 0:
            continue
        try:
            document = json.loads(line[start:])
        except ValueError:
            continue
        if isinstance(document, dict) and document.get("event") == "request":
            return document
    return {}


def _body(payload: Any) -> Any:
    return payload["body"] if isinstance(payload, dict) and "statusCode" in payload else payload
