"""One request to a function of a stack: what `make invoke` does."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from discovery import ScriptError, read_scripts

LONGEST_S = 905  # Lambda's own limit, and a little for the way
LOCAL = "local"


class InvokeError(Exception):
    """The request could not be made; the text says what to do."""


def invoke(function: str, event: str | None, stack: str, root: Path) -> tuple[str, bool]:
    """The answer as JSON, and whether it is an error. Without `event`, asks the script's example.

    Raises InvokeError.
    """
    outputs = read_outputs(stack, root)
    functions = outputs.get("functions", {})
    if function not in functions:
        known = ", ".join(sorted(functions)) or "none"
        raise InvokeError(f"there is no function {function!r} in stack {stack}; there are: {known}")
    payload = _payload(function, event, root)
    try:
        answer = _client(functions[function], outputs).invoke(
            FunctionName=functions[function], Payload=payload
        )
        body = answer["Payload"].read().decode()
    except (BotoCoreError, ClientError) as error:
        hint = "; is the stack up? `make up` starts it" if stack == LOCAL else ""
        raise InvokeError(f"{error}{hint}") from error
    return body, "FunctionError" in answer or _status(body) >= 400


def read_outputs(stack: str, root: Path) -> dict[str, Any]:
    """Outputs of a stack: of the running local one, or what Pulumi has. Raises InvokeError."""
    if stack == LOCAL:
        try:
            outputs: dict[str, Any] = json.loads((root / ".local/outputs.json").read_text())
        except FileNotFoundError:
            raise InvokeError("the local stack is not up; `make up` starts it") from None
        return outputs
    command = ["pulumi", "stack", "output", "--json", "--stack", stack]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InvokeError("pulumi is not on the PATH; see pulumi.com/docs/install") from None
    if done.returncode:
        raise InvokeError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _payload(function: str, event: str | None, root: Path) -> bytes:
    if event is None:
        try:
            scripts = read_scripts(root / "inference")
        except ScriptError as error:
            raise InvokeError(str(error)) from error
        example: Mapping[str, Any] = next((each.example for each in scripts if each.name == function), {})
        return json.dumps(example).encode()
    try:
        json.loads(event)
    except ValueError as error:
        hint = """EVENT='{"text": "I love this"}'"""
        raise InvokeError(f"EVENT is not JSON ({error}): {event!r}; write it like {hint}") from None
    return event.encode()


def _client(arn: str, outputs: Mapping[str, Any]) -> Any:
    config = Config(read_timeout=LONGEST_S, retries={"max_attempts": 0})
    if url := outputs.get("endpointUrl"):
        return boto3.client(
            "lambda",
            endpoint_url=url,
            region_name=arn.split(":")[3],
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=config,
        )
    return boto3.client("lambda", region_name=arn.split(":")[3], config=config)


def _status(body: str) -> int:
    try:
        answer = json.loads(body)
    except ValueError:
        return 200
    status = answer.get("statusCode", 200) if isinstance(answer, dict) else 200
    return status if isinstance(status, int) else 200
