"""One request to a function of a stack: what `make invoke` does."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

from discovery import ScriptError, read_scripts
from warmup.cli.stack import StackClient, access_to, read_outputs
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.records import Json, Key, Record, shown

_WRITE = """EVENT='{"text": "I love this"}', EVENT=@file.json, or EVENT=- to read it from standard input"""


@dataclass(frozen=True)
class Invoked(Record):
    """One answer, as `make invoke JSON=1` prints it."""

    function: str
    stack: str
    answer: Json
    failed: bool


@dataclass(frozen=True)
class Accepted(Record):
    """A request that is queued."""

    function: str
    stack: str
    request_id: Annotated[str, Key("requestId")]


def invoke(function: str, event: str | None, stack: str, root: Path) -> tuple[str, bool]:
    """The answer as JSON, and whether it is an error.

    event: JSON, `@file`, or `-` for standard input; None asks the script's example. Raises WarmupError.
    """
    client, payload = _question(function, event, stack, root)
    invocation = client.ask(function, payload)
    return invocation.body, invocation.function_error is not None or _status(invocation.payload) >= 400


def send(function: str, event: str | None, stack: str, root: Path) -> Accepted:
    """A request that nobody waits for. Raises WarmupError."""
    client, payload = _question(function, event, stack, root)
    return Accepted(function, stack, client.send(function, payload))


def _question(function: str, event: str | None, stack: str, root: Path) -> tuple[StackClient, bytes]:
    outputs = read_outputs(root, stack)
    if function not in outputs.functions:
        known = ", ".join(sorted(outputs.functions)) or "none"
        message = f"there is no function {function!r} in stack {stack}; there are: {known}"
        raise WarmupError(ErrorKind.USAGE, message)
    payload = _example(function, root) if event is None else read_event(event, sys.stdin)
    return StackClient(outputs, access_to(root, outputs)), payload


def read_event(given: str, stdin: TextIO) -> bytes:
    """`given` itself, or what it names. Raises WarmupError where that is not JSON."""
    text = given
    if given == "-":
        text = stdin.read()
    elif given.startswith("@"):
        try:
            text = Path(given[1:]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise WarmupError(ErrorKind.USAGE, f"EVENT={given} cannot be read: {error}") from None
    try:
        json.loads(text)
    except ValueError as error:
        message = f"EVENT is not JSON ({error}): {shown(text)}; write it like {_WRITE}"
        raise WarmupError(ErrorKind.USAGE, message) from None
    return text.encode()


def _example(function: str, root: Path) -> bytes:
    try:
        scripts = read_scripts(root / "inference")
    except ScriptError as error:
        raise WarmupError(ErrorKind.USAGE, str(error)) from error
    return json.dumps(next((each.example for each in scripts if each.name == function), {})).encode()


def _status(answer: Json) -> int:
    status = answer.get("statusCode", 200) if isinstance(answer, dict) else 200
    return status if isinstance(status, int) else 200
