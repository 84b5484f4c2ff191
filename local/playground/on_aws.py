"""A stack in AWS, asked through boto3 with the credentials of whoever started the page."""

import base64
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

from discovery import Script, read_scripts
from hf_lambda.api_keys import API_KEYS
from hf_lambda.records import Json
from local.logs import LINES, cloudwatch_logs
from local.playground.backend import BackendError, endpoint_info
from local.playground.cost import cost_of
from local.playground.on_this_machine import answered
from local.playground.records import Answered, Cost, Edition, Ended, StackInfo, Update
from warmup.cli.access import Client
from warmup.cli.stack import ANSWER_TIMEOUT_SECONDS, StackClient
from warmup.protocol.answers import CacheStatus
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.events import StatusEvent
from warmup.protocol.models import models_of_scripts

KEEPS_INSTANCES = (
    "Lambda ends instances by itself, and nobody else can without changing the function: wait some minutes, "
    "or deploy a change"
)


class AwsBackend:
    """Of the stack that `client` invokes; `root` has its scripts."""

    def __init__(self, client: StackClient, root: Path) -> None:
        self._client, self._root = client, root
        self._configurations: dict[str, Mapping[str, Json]] = {}

    def stack(self) -> StackInfo:
        outputs = self._client.outputs
        try:
            cache = self.cache()
        except BackendError:  # a warm-up that nobody may invoke is no reason to show nothing
            cache = None
        endpoints = tuple(
            endpoint_info(
                script,
                outputs.functions[script.name],
                None if script.name in outputs.in_image else cache,  # nobody looks into images
                memory_mb=outputs.memory_mb.get(script.name),
                url=self.url(script.name),
                is_signed=self.url(script.name) is not None and self._is_signed(script.name),
                has_keys=API_KEYS
                in (self._configuration(script.name).get("Environment") or {}).get("Variables", {}),
            )
            for script in self.scripts()
            if script.name in outputs.functions
        )
        return StackInfo(outputs.stack, outputs.region, outputs.endpoint_url, endpoints, KEEPS_INSTANCES)

    def scripts(self) -> tuple[Script, ...]:
        return read_scripts(self._root / "inference")

    def url(self, name: str) -> str | None:
        return self._client.outputs.function_urls.get(name)

    def cache(self) -> CacheStatus:
        outputs = self._client.outputs
        if outputs.warmup_arn is None:
            return CacheStatus((), ())
        cached = [script for script in self.scripts() if script.name not in outputs.in_image]
        with _worded():
            event = StatusEvent(models_of_scripts(cached))
            return self._client.ask_warmup(event, CacheStatus)

    def invoke(self, name: str, event: bytes) -> Answered:
        with _worded():
            done = self._client.ask(name, event)
            cost = self._cost(name, done.log, done.seconds)
        return answered(done.body.encode(), done.function_error is not None, cost, done.log)

    @contextlib.contextmanager
    def stream(self, name: str, event: bytes) -> Iterator[Iterator[bytes | Ended]]:
        """https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html"""
        with _worded():
            began = time.monotonic()
            arn = self._arn(name)
            try:
                response = self._streaming.invoke_with_response_stream(
                    FunctionName=arn, Payload=event, LogType="Tail"
                )
            except (BotoCoreError, ClientError) as error:
                raise self._problem(name, error) from error
            with contextlib.closing(response["EventStream"]) as events:
                yield self._parts(name, events, began)

    def logs(self, name: str) -> Sequence[str]:
        with _worded():
            self._arn(name)
            functions = self._client.outputs.functions
            return list(cloudwatch_logs(functions, name, self._client.access))[-LINES:]

    def retire(self, name: str) -> int:
        raise BackendError(KEEPS_INSTANCES, 409)

    def edition(self) -> Edition | None:
        return None

    def update(self, update: Update) -> None:
        raise BackendError("a stack in AWS is changed by pulumi up", 404)

    def _parts(self, name: str, events: Json, began: float) -> Iterator[bytes | Ended]:
        log, failure = "", None
        try:
            for event in events:
                if "PayloadChunk" in event:
                    yield event["PayloadChunk"]["Payload"]
                elif "InvokeComplete" in event:
                    last = event["InvokeComplete"]
                    log = base64.b64decode(last.get("LogResult", "")).decode(errors="replace")
                    if last.get("ErrorCode"):
                        failure = f"{last['ErrorCode']}: {last.get('ErrorDetails', '')}"
        except (BotoCoreError, EventStreamError) as error:
            failure = str(error)
        cost = self._cost(name, log, time.monotonic() - began)
        yield Ended(cost, tuple(log.splitlines()), failure)

    def _arn(self, name: str) -> str:
        functions = self._client.outputs.functions
        if name not in functions:
            known = ", ".join(sorted(functions))
            raise BackendError(f"there is no endpoint {name!r}; there are: {known}", 404)
        return functions[name]

    @cached_property
    def _streaming(self) -> Client:
        """Asks once, and waits as long as a function may run."""
        once = {"mode": "standard", "total_max_attempts": 1}
        return self._client.lambda_client(ANSWER_TIMEOUT_SECONDS, retries=once)

    def _cost(self, name: str, log: str, seconds: float) -> Cost:
        memory_mb = self._client.outputs.memory_mb.get(name)
        return cost_of(log, seconds, memory_mb=memory_mb, architecture=self._architecture(name))

    def _architecture(self, name: str) -> str:
        """x86_64, which costs more, where the caller may not ask."""
        return str((self._configuration(name).get("Architectures") or ["x86_64"])[0])

    def _is_signed(self, name: str) -> bool:
        with contextlib.suppress(BotoCoreError, ClientError):
            return bool(
                self._streaming.get_function_url_config(FunctionName=self._arn(name))["AuthType"] == "AWS_IAM"
            )
        return False

    def _configuration(self, name: str) -> Mapping[str, Json]:
        """Of the function; empty where the caller may not ask, for the page does without."""
        if name not in self._configurations:
            found: Mapping[str, Json] = {}
            with contextlib.suppress(BotoCoreError, ClientError):
                found = self._streaming.get_function_configuration(FunctionName=self._arn(name))
            self._configurations[name] = found
        return self._configurations[name]

    def _problem(self, name: str, error: BotoCoreError | ClientError) -> WarmupError:
        return self._client.access.problem(error) or WarmupError(ErrorKind.INVOKE, f"{name}: {error}")


@contextlib.contextmanager
def _worded() -> Iterator[None]:
    try:
        yield
    except WarmupError as error:
        raise BackendError(str(error)) from error
