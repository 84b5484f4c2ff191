"""What functions wrote: the log files of the local stack, or CloudWatch's of another."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.records import Json
from warmup.cli.access import Access
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.records import Record

LINES = 50
"""Shown of each function where none is named."""
CLOUDWATCH_S = 3600
"""How far back CloudWatch is asked."""


@dataclass(frozen=True)
class Logs(Record):
    """Lines by function, the oldest first."""

    functions: Mapping[str, tuple[str, ...]]

    def lines(self, function: str | None) -> Iterator[str]:
        """For people: those of `function`, or of all, each with its function's name."""
        for name, lines in self.functions.items():
            yield from lines if function else (f"{name} | {line}" for line in lines)


def local_logs(folder: Path, function: str | None) -> Iterator[str]:
    """Everything that `function` wrote since `make up`, or the last lines of all. Raises WarmupError."""
    return read_local(folder, function).lines(function)


def cloudwatch_logs(arns: Mapping[str, str], function: str | None, access: Access) -> Iterator[str]:
    """What `function`, or each one, wrote within the last hour. Raises WarmupError."""
    return read_cloudwatch(arns, function, access).lines(function)


def read_local(folder: Path, function: str | None) -> Logs:
    """As `local_logs`."""
    found = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if function is None:
        return Logs({name: tuple(_lines(path)[-LINES:]) for name, path in found.items()})
    if function not in found:
        raise WarmupError(ErrorKind.USAGE, f"nothing was logged by {function!r}; there are: {_known(found)}")
    return Logs({function: tuple(_lines(found[function]))})


def read_cloudwatch(arns: Mapping[str, str], function: str | None, access: Access) -> Logs:
    """As `cloudwatch_logs`."""
    read: dict[str, tuple[str, ...]] = {}
    if function is not None and function not in arns:
        raise WarmupError(ErrorKind.USAGE, f"there is no function {function!r}; there are: {_known(arns)}")
    for name, arn in arns.items():
        if function in (None, name):
            try:
                lines = _of_cloudwatch(arn, access)
            except (BotoCoreError, ClientError) as error:
                raise access.problem(error) or WarmupError(
                    ErrorKind.INVOKE, f"cannot read the log of {name}: {error}"
                ) from error
            read[name] = tuple(lines if function else lines[-LINES:])
    return Logs(read)


def _of_cloudwatch(arn: str, access: Access) -> list[str]:
    configuration = access.client("lambda").get_function_configuration(FunctionName=arn)
    group = configuration["LoggingConfig"]["LogGroup"]
    pages = access.client("logs").get_paginator("filter_log_events")
    start_ms = int((time.time() - CLOUDWATCH_S) * 1000)
    events: list[Json] = []
    for page in pages.paginate(logGroupName=group, startTime=start_ms):
        events += page["events"]
    return [event["message"].rstrip("\n") for event in sorted(events, key=lambda event: event["timestamp"])]


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def _known(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
