"""Invokes Lambdas, on AWS or behind the local gateway, and words what can go wrong."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

from ..errors import WarmupError
from .outputs import Deployment

POLL_TIMEOUT_SECONDS = 120
"""A poll may meet a cold start of the full image; it never waits for a model."""
ANSWER_TIMEOUT_SECONDS = 910
SETTLE_SECONDS = 120.0
"""A function may be deployed and its network or its file system not be there for a short while."""
SETTLE_PAUSE_SECONDS = 2.0
LOG_LINES = 8
"""Shown of the log of an invocation that failed."""
_OF_LAMBDA = re.compile(r"(START|END|REPORT) RequestId|INIT_START|.*(\bLAMBDA_WARNING\b|\(rapid\))")
_SETTLING = {
    "EFSMountConnectivityException",
    "EFSMountFailureException",
    "EFSMountTimeoutException",
    "EFSIOException",
    "ResourceNotReadyException",
    "ResourceConflictException",
    "CodeArtifactUserPendingException",
    "TooManyRequestsException",
}


@dataclass(frozen=True)
class Answer:
    """One invocation: the payload, the error type if the function itself failed, the log's tail, seconds."""

    payload: Any
    function_error: str | None
    log: str
    seconds: float

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


class Lambdas:
    """The functions of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._quick = _client(deployment, POLL_TIMEOUT_SECONDS, attempts=5)
        # A model's answer is asked for once: a second request would not be the first one's cold start.
        self._patient = _client(deployment, ANSWER_TIMEOUT_SECONDS, attempts=1)

    def start(self, event: dict[str, Any]) -> None:
        """Hand `event` to the warm-up; it runs for up to 15 minutes and nobody waits on the line."""
        self._invoke(self._quick, self._deployment.warmup_arn, event, InvocationType="Event")

    def ask_warmup(self, event: dict[str, Any]) -> dict[str, Any]:
        """A quick answer of the warm-up. Raises WarmupError where it has none."""
        answer = self._invoke(self._quick, self._deployment.warmup_arn, event, LogType="Tail")
        if answer.function_error:
            raise WarmupError("warm-up", f"the warm-up function failed: {answer.failure}")
        if answer.payload.get("error"):
            raise WarmupError(answer.payload["error"]["kind"], answer.payload["error"]["message"])
        payload: dict[str, Any] = answer.payload
        return payload

    def ask(self, arn: str, event: dict[str, Any]) -> Answer:
        """The endpoint's answer to `event`, with the tail of its log."""
        return self._invoke(self._patient, arn, event, LogType="Tail")

    def _invoke(self, client: Any, arn: str, event: dict[str, Any], **options: str) -> Answer:
        deadline, pause = time.monotonic() + SETTLE_SECONDS, threading.Event()
        while True:
            began = time.monotonic()
            try:
                response = client.invoke(FunctionName=arn, Payload=json.dumps(event).encode(), **options)
                break
            except ClientError as error:
                if error.response["Error"]["Code"] not in _SETTLING or time.monotonic() > deadline:
                    raise _worded(error, arn, self._deployment) from error
                pause.wait(SETTLE_PAUSE_SECONDS)
            except BotoCoreError as error:
                raise _worded(error, arn, self._deployment) from error
        body = response["Payload"].read()
        seconds = time.monotonic() - began
        tail = response.get("LogResult", "")
        return Answer(_parsed(body), response.get("FunctionError"), _decoded(tail), seconds)


def _client(deployment: Deployment, read_timeout_s: int, attempts: int) -> Any:
    config = Config(
        connect_timeout=10,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        max_pool_connections=32,
    )
    # The gateway checks no signature, but boto3 does not send without one.
    key = "local" if deployment.endpoint_url else None
    return boto3.client(
        "lambda",
        region_name=deployment.region,
        endpoint_url=deployment.endpoint_url,
        config=config,
        aws_access_key_id=key,
        aws_secret_access_key=key,
    )


def _worded(error: ClientError | BotoCoreError, arn: str, deployment: Deployment) -> WarmupError:
    name = arn.split(":")[6]
    if isinstance(error, NoCredentialsError):
        return WarmupError(
            "credentials", "no AWS credentials. Set AWS_PROFILE or run aws configure sso / aws login"
        )
    if isinstance(error, EndpointConnectionError):
        where = deployment.endpoint_url or f"Lambda in {deployment.region}"
        return WarmupError("unreachable", f"cannot reach {where}. Is the stack up? {deployment.up}")
    if isinstance(error, BotoCoreError):
        return WarmupError("unreachable", f"{name}: {type(error).__name__}: {error}")
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "ResourceNotFoundException":
        return WarmupError("not deployed", f"{name} is not there. Deploy it: {deployment.up}")
    if code in ("AccessDeniedException", "AccessDenied"):
        return WarmupError(
            "access denied", f"you may not invoke {name}: lambda:InvokeFunction on {arn} is needed"
        )
    if code in ("ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException"):
        return WarmupError("credentials", f"AWS refuses your credentials ({code}). Sign in again")
    return WarmupError("invoke", f"{name}: {code}: {message}")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _decoded(tail: str) -> str:
    return base64.b64decode(tail).decode(errors="replace")
