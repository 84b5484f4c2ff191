"""A deployed stack: its outputs, and a client that invokes its functions and words what can go wrong."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as NotConnected,
)

from ..protocol.answers import CodeTrials, read_answer
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Event
from ..protocol.outputs import LOCAL, StackOutputs, deploy_command
from ..protocol.records import Json, Record, WrongShape
from .access import Access, Client, gateway_client, read_access

PULUMI_SECONDS = 120
POLL_TIMEOUT_SECONDS = 120
"""A poll may meet a cold start of the full image; it never waits for a model."""
ANSWER_TIMEOUT_SECONDS = 910
SETTLE_SECONDS = 120.0
"""A function may be deployed and its network or its file system not be there for a short while."""
SETTLE_PAUSE_SECONDS = 2.0
LOG_LINES = 8
"""Shown of the log of an invocation that failed."""
_BILLED = re.compile(r"\tBilled Duration: (\d+(?:\.\d+)?) ms")
_OF_LAMBDA = re.compile(r"(START|END|REPORT) RequestId|INIT_START|.*(\bLAMBDA_WARNING\b|\(rapid\))")
_SETTLING = {
    "EFSMountConnectivityException",
    "EFSMountFailureException",
    "EFSMountTimeoutException",
    "EFSIOException",
    "ResourceNotReadyException",
    "ResourceConflictException",
    "CodeArtifactUserPendingException",
    "SnapStartNotReadyException",
    "TooManyRequestsException",
}
_BUSY = _SETTLING | {
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "ENILimitReachedException",
    "ServiceException",
    "ThrottlingException",
}
"""What asking again later mends: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors"""
_OF_THE_EVENT = {"InvalidRequestContentException", "RequestTooLargeException"}
_ALL_RESERVED_BUSY = "ReservedFunctionConcurrentInvocationLimitExceeded"
"""https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html, TooManyRequestsException: Reason."""
Answer = TypeVar("Answer", bound=Record)


def read_outputs(
    root: Path, stack: str | None, file: Path | None = None, endpoint_url: str | None = None
) -> StackOutputs:
    """The outputs in `file`, else those of `stack` (local: `<root>/.local/outputs.json`, from `make up`).

    endpoint_url: of another Lambda API than the stack's own. Raises WarmupError that says what to run where
    there are no outputs.
    """
    if file is None and stack in (None, LOCAL):
        stack, file = LOCAL, root / ".local" / "outputs.json"
    if file is not None:
        raw = _from_file(file)
        stack = stack or str(raw.get("stack") or LOCAL)
    else:
        stack = str(stack)
        raw = _ask_pulumi(root, stack, "stack", "output", "--json")
    try:
        outputs = StackOutputs.from_json({**raw, "stack": stack})
    except WrongShape as wrong:
        raise _no_outputs(stack) from wrong
    in_cache = outputs.functions.keys() - {*outputs.in_image}
    no_warmup = outputs.warmup_arn is None and (in_cache or not outputs.functions)
    if "functions" not in raw or no_warmup or outputs.any_arn.count(":") < 6:
        raise _no_outputs(stack)
    return replace(outputs, endpoint_url=endpoint_url or outputs.endpoint_url or None)


def access_to(root: Path, outputs: StackOutputs, file: Path | None = None) -> Access:
    """As whom the functions of a stack are asked: as its `aws:` config says, of which aws:profile is a key.

    file: where the outputs were read from it, nothing is asked of Pulumi, and the environment says who asks.
    """
    if file is not None or outputs.stack == LOCAL or outputs.endpoint_url:
        return Access(outputs.region)
    config = _ask_pulumi(root, outputs.stack, "config", "--json")
    if any(key.startswith("aws:") and "value" not in entry for key, entry in config.items()):
        config = _ask_pulumi(root, outputs.stack, "config", "--json", "--show-secrets")
    try:
        return read_access(config, outputs.region)
    except WrongShape as wrong:
        message = f"stack {outputs.stack}: {wrong}. See `pulumi config --stack {outputs.stack}`"
        raise WarmupError(ErrorKind.USAGE, message) from wrong


@dataclass(frozen=True)
class Invocation:
    """One call of a function. `function_error`: how Lambda says that the function itself failed."""

    body: str
    function_error: str | None
    log: str
    """The last 4 KB of the function's log."""
    seconds: float

    @cached_property
    def payload(self) -> Json:
        """The answer; the text itself where it is not JSON."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return self.body

    @property
    def billed_ms(self) -> float | None:
        """As Lambda's own line in the log has it."""
        return billed_ms(self.log)

    @property
    def failure(self) -> str | None:
        """How the function failed, with what it logged last; None where it answered."""
        if not self.function_error:
            return None
        kind, message = self.function_error, str(self.payload)[:500]
        if isinstance(self.payload, dict):
            kind, message = self.payload.get("errorType", kind), self.payload.get("errorMessage", "")
        lines = [line for line in self.log.splitlines() if line.strip() and not _OF_LAMBDA.match(line)]
        return "\n    log: ".join([f"{kind}: {message}", *lines[-LOG_LINES:]])


class StackClient:
    """Invokes the functions of one stack, on AWS or behind the local gateway."""

    def __init__(self, outputs: StackOutputs, access: Access) -> None:
        """Raises WarmupError where there are no usable credentials."""
        self.outputs, self.access = outputs, access
        self._quick = self.lambda_client(POLL_TIMEOUT_SECONDS)
        # A model's answer is asked for once: a second request would not be the first one's cold start.
        once = {"mode": "standard", "total_max_attempts": 1}
        self._patient = self.lambda_client(ANSWER_TIMEOUT_SECONDS, retries=once)

    def start(self, event: Event) -> None:
        """Hand `event` to the warm-up; it runs for up to 15 minutes and nobody waits on the line."""
        self.start_worker(self._warmup_arn, event)

    def ask_warmup(self, event: Event, answer: type[Answer]) -> Answer:
        """A quick answer of the warm-up. Raises WarmupError where it has none."""
        return self.ask_worker(self._warmup_arn, "the warm-up", event, answer)

    @property
    def _warmup_arn(self) -> str:
        if self.outputs.warmup_arn is None:
            raise WarmupError(
                ErrorKind.USAGE,
                f"stack {self.outputs.stack} has no cache: every endpoint has its models in its image, where "
                f"python -m warmup fetch and {self.outputs.deploy_command} bring them",
            )
        return self.outputs.warmup_arn

    @cached_property
    def relay(self) -> RelayClient | None:
        """The function that brings models into the bucket, where the stack has one."""
        return RelayClient(self, self.outputs.relay_arn) if self.outputs.relay_arn else None

    def start_worker(self, arn: str, event: Event) -> None:
        self._invoke(self._quick, arn, _dumped(event.to_json()), InvocationType="Event")

    def ask_worker(self, arn: str, who: str, event: Event, answer: type[Answer]) -> Answer:
        payload = _dumped(event.to_json())
        invocation = self._invoke(self._quick, arn, payload, LogType="Tail")
        if invocation.function_error:
            raise WarmupError(ErrorKind.WARMUP, f"{who} function failed: {invocation.failure}")
        return read_answer(answer, invocation.payload, self.outputs.deploy_command)

    def try_code(self, event: Event) -> CodeTrials:
        """What the second warm-up, which alone runs code of repositories, says of the models of `event`.

        Raises WarmupError where the stack has none, or it fails.
        """
        if self.outputs.code_arn is None:
            message = (
                "a script says trust_remote_code=True, and the stack runs no code of repositories. Set "
                f"allowRemoteCode to true, then {self.outputs.deploy_command}"
            )
            raise WarmupError(ErrorKind.REMOTE_CODE, message)
        payload = _dumped(event.to_json())
        invocation = self._invoke(self._patient, self.outputs.code_arn, payload, LogType="Tail")
        if invocation.function_error:
            raise WarmupError(ErrorKind.WARMUP, f"the second warm-up failed: {invocation.failure}")
        return read_answer(CodeTrials, invocation.payload, self.outputs.deploy_command)

    def ask(self, function: str, event: bytes) -> Invocation:
        """The answer of the script `function` to `event` (JSON), with the tail of its log.

        Raises WarmupError where there is no such function or it cannot be invoked.
        """
        return self._invoke(self._patient, self._arn(function), event, LogType="Tail")

    def _arn(self, function: str) -> str:
        arn = self.outputs.functions.get(function)
        if arn is None:
            raise WarmupError(
                ErrorKind.NOT_DEPLOYED, f"{function}.py is not deployed. Run {self.outputs.deploy_command}"
            )
        return arn

    def send(self, function: str, event: bytes) -> str:
        """The id of an asynchronous request, once Lambda has it. Raises WarmupError as `ask` does."""
        arn = self._arn(function)
        try:
            answer = self._quick.invoke(FunctionName=arn, Payload=event, InvocationType="Event")
        except (BotoCoreError, ClientError) as error:
            raise self.worded(error, arn) from error
        return str(answer["ResponseMetadata"]["RequestId"])

    def ask_once(self, client: Client, arn: str, event: bytes) -> Invocation:
        """As `ask`, of the function or alias `arn`, without waiting for one that is busy.

        Raises Busy where asking again later may help, Refused where Lambda does not take this event, and
        WarmupError where it would take none.
        """
        try:
            return invoke_once(client, arn, event, LogType="Tail")
        except ClientError as error:
            if error.response.get("Reason") == _ALL_RESERVED_BUSY and _is_switched_off(client, arn):
                raise self._switched_off(arn) from error
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            if code in _BUSY:
                raise Busy(self.worded(error, arn)) from error
            if code in _OF_THE_EVENT:
                raise Refused(f"{code}: {message}") from error
            raise self.worded(error, arn) from error
        except (HTTPClientError, NotConnected) as error:
            raise Busy(self.worded(error, arn), reached=False) from error
        except BotoCoreError as error:
            raise self.worded(error, arn) from error

    def _invoke(self, client: Client, arn: str, payload: bytes, **options: str) -> Invocation:
        try:
            return invoke_when_ready(client, arn, payload, **options)
        except SwitchedOff as error:
            raise self._switched_off(arn) from error
        except (BotoCoreError, ClientError) as error:
            raise self.worded(error, arn) from error

    def lambda_client(self, read_timeout_s: int, **config: Json) -> Client:
        """A client of this stack's Lambda API. Raises WarmupError where there are no usable credentials."""
        config = {
            "connect_timeout": 10,
            "read_timeout": read_timeout_s,
            "tcp_keepalive": True,
            "max_pool_connections": 32,
            **config,
        }
        if url := self.outputs.endpoint_url:
            return gateway_client(url, self.outputs.region, **config)
        return self.access.client("lambda", **config)

    def _switched_off(self, arn: str) -> WarmupError:
        endpoint = next((name for name, each in self.outputs.functions.items() if each == arn), arn)
        return WarmupError(
            ErrorKind.SWITCHED_OFF,
            f"{endpoint} is switched off: with reservedConcurrency 0 AWS refuses every request. Set another "
            f"(-1: no limit), then {self.outputs.deploy_command}",
        )

    def worded(self, error: ClientError | BotoCoreError, arn: str) -> WarmupError:
        name, outputs = arn.split(":")[6], self.outputs
        if problem := self.access.problem(error):
            return problem
        if isinstance(error, EndpointConnectionError):
            where = outputs.endpoint_url or f"Lambda in {outputs.region}"
            return WarmupError(
                ErrorKind.UNREACHABLE, f"cannot reach {where}. Is the stack up? {outputs.deploy_command}"
            )
        if isinstance(error, BotoCoreError):
            return WarmupError(ErrorKind.UNREACHABLE, f"{name}: {type(error).__name__}: {error}")
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ResourceNotFoundException":
            return WarmupError(
                ErrorKind.NOT_DEPLOYED, f"{name} is not there. Deploy it: {outputs.deploy_command}"
            )
        if code in ("AccessDeniedException", "AccessDenied"):
            wrong = None if outputs.endpoint_url else self.access.wrong_account(arn)
            message = f"you may not invoke {name}: lambda:InvokeFunction on {arn} is needed"
            return wrong or WarmupError(ErrorKind.ACCESS_DENIED, message)
        return WarmupError(ErrorKind.INVOKE, f"{name}: {code}: {message}")


@dataclass(frozen=True)
class RelayClient:
    """The relay of a stack, asked as the warm-up is."""

    stack: StackClient
    arn: str

    def start(self, event: Event) -> None:
        self.stack.start_worker(self.arn, event)

    def ask_warmup(self, event: Event, answer: type[Answer]) -> Answer:
        return self.stack.ask_worker(self.arn, "the relay", event, answer)


class SwitchedOff(Exception):  # noqa: N818 - how a function is, not a fault
    """The function's reserved concurrency is 0."""


class Busy(Exception):  # noqa: N818 - how a function is, not a fault
    """Lambda did not run the function now. `problem`: what to say once it is waited for no longer."""

    def __init__(self, problem: WarmupError, *, reached: bool = True) -> None:
        super().__init__(str(problem))
        self.problem, self.reached = problem, reached


class Refused(Exception):  # noqa: N818 - what is wrong is the event
    """Lambda does not take the event; the text is its reason."""


def invoke_when_ready(client: Client, arn: str, payload: bytes, **options: str) -> Invocation:
    """One invocation; what a function that was just deployed may lack for a short while is waited for.

    Raises SwitchedOff, and errors of botocore.
    """
    deadline, pause = time.monotonic() + SETTLE_SECONDS, threading.Event()
    while True:
        try:
            return invoke_once(client, arn, payload, **options)
        except ClientError as error:
            if error.response.get("Reason") == _ALL_RESERVED_BUSY and _is_switched_off(client, arn):
                raise SwitchedOff(arn) from error
            if error.response["Error"]["Code"] not in _SETTLING or time.monotonic() > deadline:
                raise
            pause.wait(SETTLE_PAUSE_SECONDS)


def invoke_once(client: Client, arn: str, payload: bytes, **options: str) -> Invocation:
    """One invocation, whatever becomes of it. Raises errors of botocore."""
    began = time.monotonic()
    response = client.invoke(FunctionName=arn, Payload=payload, **options)
    body = response["Payload"].read()
    seconds = time.monotonic() - began
    log = base64.b64decode(response.get("LogResult", "")).decode(errors="replace")
    return Invocation(body.decode(errors="replace"), response.get("FunctionError"), log, seconds)


def unqualified(arn: str) -> str:
    """Of a function: without the alias, or the version."""
    return ":".join(arn.split(":")[:7])


def billed_ms(log: str) -> float | None:
    """Of the last request in `log`."""
    found = _BILLED.findall(log)
    return float(found[-1]) if found else None


def _is_switched_off(client: Client, arn: str) -> bool:
    """Whether none is reserved, rather than all that is reserved busy.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    name = unqualified(arn)  # an alias has none of its own
    try:
        reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    except (BotoCoreError, ClientError):  # whoever may invoke need not be allowed to ask that
        return False
    return bool(reserved == 0)


def _from_file(file: Path) -> dict[str, Json]:
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        raise WarmupError(
            ErrorKind.USAGE,
            f"{file} is not there. Run make up, or name a stack: STACK=dev with make, else --stack dev",
        ) from None
    except ValueError as error:
        raise WarmupError(
            ErrorKind.USAGE, f"{file} is not JSON ({error}). Write it with: pulumi stack output --json"
        ) from None
    if not isinstance(document, dict):
        raise WarmupError(
            ErrorKind.USAGE, f"{file} holds no object. Write it with: pulumi stack output --json"
        )
    return document


def _ask_pulumi(root: Path, stack: str, *what: str) -> dict[str, Json]:
    command = ["pulumi", *what, "--stack", stack]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PULUMI_SECONDS)
    except FileNotFoundError:
        fix = "Install it from pulumi.com/docs/install, or pass --outputs FILE (pulumi stack output --json)"
        raise WarmupError(ErrorKind.USAGE, f"pulumi is not on the PATH. {fix}") from None
    except subprocess.TimeoutExpired:
        raise WarmupError(
            ErrorKind.PULUMI, f"`{' '.join(command)}` did not answer within {PULUMI_SECONDS} s"
        ) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise WarmupError(
            ErrorKind.USAGE, f"`{' '.join(command)}` failed: {said}. Deploy with: {deploy_command(stack)}"
        )
    answer: dict[str, Json] = json.loads(done.stdout)
    return answer


def _no_outputs(stack: str) -> WarmupError:
    message = f"stack {stack} has no outputs warmupArn and functions. Run {deploy_command(stack)} first"
    return WarmupError(ErrorKind.USAGE, message)


def _dumped(event: Json) -> bytes:
    return json.dumps(event).encode()
