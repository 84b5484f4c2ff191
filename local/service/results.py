"""What became of asynchronous requests: Lambda's record of each, in files that stand for its two queues."""

import datetime
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.program.functions import Function
from local.service.instances import InvocationResult
from local.service.lambda_api import VERSION
from warmup.protocol.records import Json

SUCCESS = "Success"
ANSWERS, FAILURES = "answers", "failures"


@dataclass(frozen=True)
class Result:
    """A message for one of the queues. `kind`: which."""

    kind: str
    record: Json


@dataclass(frozen=True)
class AsyncEvent:
    """A request that was accepted. `sent_at`: seconds since 1970."""

    request_id: str
    qualifier: str | None
    payload: bytes
    sent_at: float

    def result(
        self, function: Function, condition: str, tries: int, answer: InvocationResult | None
    ) -> Result:
        """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
        record: dict[str, Json] = {
            "version": "1.0",
            "timestamp": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": f"{function.arn}:{self.qualifier or VERSION}",
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "requestPayload": json.loads(self.payload),
        }
        if answer is not None:
            failed = {"functionError": "Unhandled"} if answer.error else {}
            version = function.version or VERSION
            record["responseContext"] = {"statusCode": 200, "executedVersion": version, **failed}
            record["responsePayload"] = _parsed(answer.payload)
        return Result(ANSWERS if condition == SUCCESS else FAILURES, record)


def keep(folder: Path, function: Function, result: Result) -> None:
    """Add a message to the queue of its kind."""
    folder.mkdir(parents=True, exist_ok=True)
    with _file(folder, function.name, result.kind).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(result.record).encode() + b"\n")


def take(folder: Path, name: str, kind: str) -> Iterator[Json]:
    """Every message of a queue; they are gone once all were taken."""
    path = _file(folder, name, kind)
    if not path.exists():
        return
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield from map(json.loads, file)
        file.truncate(0)


def _file(folder: Path, name: str, kind: str) -> Path:
    return folder / f"{name}.{kind}.jsonl"


def _parsed(payload: bytes) -> Json:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")
