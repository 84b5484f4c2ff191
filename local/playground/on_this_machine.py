"""The local stack, asked within its gateway."""

import contextlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from discovery import Script, ScriptError, read_scripts
from hf_lambda.api_keys import API_KEYS
from local.layout import Folder
from local.logs import LINES, local_logs
from local.playground.backend import BackendError, endpoint_info
from local.playground.cost import cost_of
from local.playground.records import Answered, Cost, Edition, Ended, EndpointInfo, StackInfo, Update
from local.program.functions import Function
from local.service.gateway import Gateway
from local.service.lambda_api import ApiError
from local.service.streaming import Cut
from warmup.protocol.answers import CacheStatus, ColdModel, WarmedModel
from warmup.protocol.errors import WarmupError
from warmup.protocol.models import models_of_scripts
from warmup.protocol.outputs import LOCAL
from warmup.protocol.records import Json
from warmup.worker.publish import cache_status

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


class LocalBackend:
    """Of the functions that `gateway` runs, as they were declared; their scripts are read as they are now.

    Once `make dev` follows changes, scripts with mistakes are shown as they were before these.
    """

    def __init__(
        self,
        gateway: Gateway,
        folder: Folder,
        url: str,
        declared: Callable[[], Sequence[Function]] | None = None,
    ) -> None:
        """url: of the gateway. declared: reads what the program declares now."""
        self._gateway, self._folder, self._url, self._declared = gateway, folder, url, declared
        self._edition: Edition | None = None
        self._scripts: tuple[Script, ...] | None = None

    def stack(self) -> StackInfo:
        cache = self.cache()
        functions = [each for each in self._gateway.functions.values() if each.is_endpoint]
        scripts = {script.name: script for script in self.scripts()}
        found: list[EndpointInfo] = []
        for function in sorted(functions, key=lambda each: each.name):
            if script := scripts.get(function.name):  # one whose file is gone needs `make up`
                about = endpoint_info(
                    script,
                    function.arn,
                    cache,
                    memory_mb=function.memory_mb,
                    url=self.url(function.name),
                    is_signed=function.url is not None and function.url.needs_signature,
                    has_keys=bool(function.environment.get(API_KEYS)),
                )
                found.append(about)
        region = functions[0].arn.split(":")[3] if functions else "us-east-1"
        number = self._edition.number if self._edition else None
        return StackInfo(LOCAL, region, self._url, tuple(found), edition=number)

    def scripts(self) -> tuple[Script, ...]:
        try:
            self._scripts = read_scripts(self._folder.root / "inference")
        except ScriptError:
            if self._edition is None or self._scripts is None:
                raise
        return self._scripts

    def edition(self) -> Edition | None:
        return self._edition

    def update(self, update: Update) -> None:
        if self._declared is None:
            raise BackendError("this stack does not follow changes", 404)
        if update.functions or update.changed:
            self._gateway.replace(self._declared(), update.changed)
        self._edition = Edition((self._edition.number if self._edition else 0) + 1, update.problems)

    def url(self, name: str) -> str:
        return f"{self._url}/urls/{name}/"

    def cache(self) -> CacheStatus:
        """Of the cache, and of the images that hold models."""
        functions = self._gateway.functions.values()
        in_image = {function.name for function in functions if function.models}
        scripts = self.scripts()
        cached = [script for script in scripts if script.name not in in_image]
        found = cache_status(self._folder.efs, models_of_scripts(cached))
        of_images = [each for script in scripts if script.name in in_image for each in self._in_image(script)]
        return replace(found, models=(*found.models, *of_images))

    def _in_image(self, script: Script) -> list[WarmedModel | ColdModel]:
        """As the image has them, and not as they were fetched for it."""
        report = self._folder.made_in_image(script.name)
        made = {(each.repo_id, each.revision): each for each in report.warmup} if report else {}
        fetched = cache_status(self._folder.in_image / script.name, models_of_scripts([script])).models
        return [made.get((each.repo_id, each.revision), each) for each in fetched]

    def invoke(self, name: str, event: bytes) -> Answered:
        with _worded():
            began = time.monotonic()
            result = self._gateway.ask(name, event)
            cost = self._cost(name, result.log, time.monotonic() - began)
        return answered(result.payload, result.error, cost, result.log)

    @contextlib.contextmanager
    def stream(self, name: str, event: bytes) -> Iterator[Iterator[bytes | Ended]]:
        with _worded():
            began = time.monotonic()
            with self._gateway.ask_streaming(name, event) as answer:

                def parts() -> Iterator[bytes | Ended]:
                    error = None
                    try:
                        if answer.is_error:
                            error = b"".join(answer.pieces).decode(errors="replace")
                        else:
                            yield from answer.pieces
                    except Cut as cut:
                        error = str(cut)
                    seconds = time.monotonic() - began
                    answer.finish()
                    log = answer.log()
                    yield Ended(self._cost(name, log, seconds), tuple(log.splitlines()), error)

                yield parts()

    def logs(self, name: str) -> Sequence[str]:
        with _worded():
            self._gateway.endpoint(name)
            try:
                return list(local_logs(self._folder.logs, name))[-LINES:]
            except WarmupError:  # it was not asked yet
                return []

    def retire(self, name: str) -> int:
        with _worded():
            return self._gateway.retire(name)

    def _cost(self, name: str, log: str, seconds: float) -> Cost:
        memory_mb = self._gateway.endpoint(name).memory_mb
        cost = cost_of(log, seconds, memory_mb=memory_mb, architecture=ARCHITECTURE)
        return replace(cost, peak_mb=None)  # the emulator writes what the function has, not what it used


def answered(payload: bytes, failed: bool, cost: Cost, log: str) -> Answered:
    """A function's answer taken apart: one of ours is `{"statusCode", "body"}`, any other is the body."""
    try:
        value: Json = json.loads(payload) if payload else None
    except ValueError:
        value = payload.decode(errors="replace")
    lines = tuple(log.splitlines())
    if failed:
        return Answered(500, value, cost, lines)
    if isinstance(value, dict) and isinstance(value.get("statusCode"), int):
        return Answered(value["statusCode"], value.get("body"), cost, lines)
    return Answered(200, value, cost, lines)


@contextlib.contextmanager
def _worded() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise BackendError(str(error), error.status) from error
