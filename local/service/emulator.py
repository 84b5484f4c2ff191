"""An instance of a function: AWS's runtime interface emulator in front of awslambdaric, sandboxed."""

import contextlib
import http.client
import itertools
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.layout import IN_IMAGE
from local.packages import FOLDER as PACKAGES
from local.processes import kill_session, remember
from local.program.functions import Function
from local.service.environment import environment
from local.service.instances import InstanceError, InvocationResult
from local.service.lambda_api import SYNC_LIMIT_BYTES
from local.service.memory import MemoryLimit
from local.service.ports import Ports
from local.service.runtime_log import RuntimeLog
from local.service.streaming import Answer, Cut, RuntimeApi, close_pieces

ROOT = Path(__file__).resolve().parents[2]
SANDBOX = Path(__file__).with_name("sandbox.py")
RUNTIME = "hf_lambda.runtime"  # the image's entry point
START_LIMIT_S = 20
GRACE_S = 5  # beyond the function's timeout, which the emulator itself enforces
_RUNTIME_ERROR_KEYS = {
    "errorMessage",
    "errorType",
    "requestId",
    "stackTrace",
}  # of awslambdaric's error object
_KILLED = "Runtime exited with error: signal: killed"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Emulators:
    """Starts emulator instances of functions whose code lies in `root`."""

    cache: Path
    """Stands for the EFS."""
    state: Path
    """Holds logs/ and one scratch folder per instance, which the instance sees as /tmp."""
    isolation: str
    """A mode of sandbox.py: `namespace`, `landlock` or `none`."""
    binary: Path
    root: Path = ROOT
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Environment by function name, on top of the program's: what AWS or its network would provide."""
    bucket_url: str | None = None
    """Of the S3 in which models are staged and inputs lie; what reads it reaches nothing else."""

    def start(self, function: Function) -> "Emulator":
        """Raises InstanceError if the emulator does not come up."""
        instance = (StreamingEmulator if function.streams else Emulator)(function, self)
        if instance.wait_until_listening():
            return instance
        instance.stop()
        raise InstanceError(f"the emulator of {function.name} did not start; see {instance.log.path}")

    def environment(self, function: Function, tmp: Path) -> dict[str, str]:
        cache: Path | None = self.cache
        if self.isolation == "namespace":  # what is at /tmp and at the mount is what Lambda has there
            cache, tmp = None, Path("/tmp")
        extra = self.extra.get(function.name, {})
        return environment(
            function,
            root=self.code(function),
            tmp=tmp,
            cache=cache,
            extra=extra,
            packages=self.state / PACKAGES,
            models=self.state / IN_IMAGE / function.name,
        )

    def code(self, function: Function) -> Path:
        """The folder that holds its scripts and hf_lambda."""
        return self.root if function.root is None else Path(function.root)

    def command(self, function: Function, tmp: Path, port: int, runtime_port: int) -> list[str]:
        emulator = [str(self.binary), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        emulator += ["--runtime-api-address", f"127.0.0.1:{runtime_port}", "--log-level", "warn"]
        return [
            *self._sandbox(function, tmp, runtime_port),
            *emulator,
            "/usr/bin/env",  # it says /var/task, wherever that is
            f"LAMBDA_TASK_ROOT={self.code(function) / 'inference'}",
            sys.executable,
            "-m",
            RUNTIME,
            function.command,
        ]

    def streaming_command(self, function: Function, tmp: Path) -> list[str]:
        """Without the emulator, which would wait for whole answers."""
        return [*self._sandbox(function, tmp), sys.executable, "-m", RUNTIME, function.command]

    def _sandbox(self, function: Function, tmp: Path, runtime_port: int | None = None) -> list[str]:
        view = {
            "cache": str(self.cache),
            "mount": function.mount,
            "tmp": str(tmp),
            "writes": function.writes,
            "keep": [str(path) for path in self._kept(function)],
            "connect": self._reached(function, runtime_port),
        }
        return [sys.executable, "-I", "-S", str(SANDBOX), self.isolation, json.dumps(view)]

    def _reached(self, function: Function, runtime_port: int | None) -> list[int] | None:
        """The ports that a function may connect to, None: any. On AWS its network leads to S3 alone."""
        if self.bucket_url is None or not function.reaches_s3 or function.downloads:
            return None
        return [int(self.bucket_url.rpartition(":")[2]), *([runtime_port] if runtime_port else [])]

    def _kept(self, function: Function) -> list[Path]:
        """What instances see of /tmp, should it lie there."""
        packages = self.state / PACKAGES
        kept = [
            self.code(function),
            self.root,
            self.cache,
            self.binary,
            Path(sys.prefix),
            Path(sys.base_prefix),
        ]
        extra = [packages, self.state / IN_IMAGE]
        return [*kept, *(each for each in extra if each.is_dir())]


class Emulator:
    """One emulator process and the runtime below it."""

    _memory: MemoryLimit | None = None

    def __init__(self, function: Function, settings: Emulators) -> None:
        self._function = function
        self._stopped = False
        self._failed = False
        self._tmp = settings.state / "tmp" / f"{function.name}-{os.getpid()}-{next(_numbers)}"
        self._tmp.mkdir(parents=True)
        self._ports = Ports(2)
        self._port, self._runtime_port = self._ports.numbers
        self._process = subprocess.Popen(
            self._command(settings),
            cwd=settings.code(function) / "inference",
            env=self._environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._record = settings.state / "run" / f"{self._tmp.name}.json"
        self._record.parent.mkdir(exist_ok=True)
        remember(self._process.pid, self._record)  # for `down`, should the gateway not live to stop it
        assert self._process.stdout is not None
        self.log = RuntimeLog(
            self._process.stdout, settings.state / "logs" / f"{function.name}.log", self._peak_mb
        )

    def _command(self, settings: Emulators) -> list[str]:
        return settings.command(self._function, self._tmp, self._port, self._runtime_port)

    def _environment(self, settings: Emulators) -> dict[str, str]:
        return settings.environment(self._function, self._tmp)

    @property
    def usable(self) -> bool:
        return not (self._stopped or self._failed) and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The emulator's; also the id of the session that the runtime belongs to."""
        return self._process.pid

    def wait_until_listening(self) -> bool:
        deadline = time.monotonic() + START_LIMIT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return True
            time.sleep(0.003)
        return False

    def invoke(self, payload: bytes, client_context: str | None = None) -> InvocationResult:
        request = self.log.begin()
        with self.memory_limit() as memory:
            try:
                status, body = self._post(payload, client_context)
            except (OSError, http.client.HTTPException):
                status, body = 502, b""
        request_id, text = self.log.end(request)
        request_id = request_id or str(uuid.uuid4())
        if memory and memory.exceeded:
            self._failed = True
            failure: bytes | None = _error("Runtime.OutOfMemory", f"RequestId: {request_id} Error: {_KILLED}")
        else:
            failure = self._failure(status, body, request_id)
        return InvocationResult(failure or body, failure is not None, text, request_id)

    def memory_limit(self) -> contextlib.AbstractContextManager[MemoryLimit | None]:
        before = self._memory.seen_mb if self._memory else 0.0
        self._memory = MemoryLimit(self.pid, self._function.memory_mb, before)
        return self._memory

    def _peak_mb(self) -> int:
        """What the instance has used at most since it started, as Lambda reports it."""
        return math.ceil(self._memory.peak_mb()) if self._memory else 0

    def stop(self) -> None:
        self._stopped = True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        kill_session(self._process.pid)
        self._process.wait()
        self._ports.release()
        self.log.close()
        shutil.rmtree(self._tmp, ignore_errors=True)
        self._record.unlink(missing_ok=True)

    def _post(self, payload: bytes, client_context: str | None) -> tuple[int, bytes]:
        limit_s = self._function.timeout_s + GRACE_S
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=limit_s)
        headers = {"X-Amz-Client-Context": client_context} if client_context else {}
        with contextlib.closing(connection):
            connection.request("POST", "/2015-03-31/functions/function/invocations", payload, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def _failure(self, status: int, body: bytes, request_id: str) -> bytes | None:
        """Lambda's error object if the emulator's answer stands for one.

        A handler that raised can go on; where the runtime itself ended, so does this instance.
        """
        if body.startswith(b"Task timed out after"):
            self._failed = True
            return _error("Sandbox.Timedout", f"RequestId: {request_id} Error: {body.decode()}")
        if not body and status != 200:
            self._failed = True
            return _error(
                "Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited without an answer"
            )
        if status != 200:
            self._failed = True
            return body
        try:
            answer = json.loads(body)
        except ValueError:
            return None
        failed = (
            isinstance(answer, dict)
            and answer.keys() == _RUNTIME_ERROR_KEYS
            and answer["requestId"] == request_id
        )
        return body if failed else None


class StreamingEmulator(Emulator):
    """The runtime behind a Runtime API of ours, which passes on what it sends as it comes."""

    def __init__(self, function: Function, settings: Emulators) -> None:
        super().__init__(function, settings)
        threading.Thread(target=self._watch, name=f"runtime {function.name}", daemon=True).start()

    def wait_until_listening(self) -> bool:
        return True  # the first invocation waits for the runtime

    def invoke(self, payload: bytes, client_context: str | None = None) -> InvocationResult:
        with self.open(payload, client_context) as opened:
            if isinstance(opened, InvocationResult):
                return opened
            try:
                body = b"".join(opened.answer.pieces)
            except Cut as cut:
                return self._cut(cut, opened.request_id)
            error = opened.answer.is_error
            if not (opened.answer.is_streamed or error) and len(body) > SYNC_LIMIT_BYTES:
                error, message = True, f"Response payload size exceeded maximum allowed ({SYNC_LIMIT_BYTES})."
                body = _error("Function.ResponseSizeTooLarge", message)
        # The REPORT is written when the block has ended.
        return InvocationResult(body, error, self.said(), opened.request_id)

    @contextlib.contextmanager
    def open(
        self, payload: bytes, client_context: str | None = None
    ) -> Iterator["OpenedAnswer | InvocationResult"]:
        """An answer that has begun, or what went wrong before it could. Leaving the block ends it."""
        request_id, started = str(uuid.uuid4()), time.monotonic()
        self.log.begin()
        self.log.note(f"START RequestId: {request_id} Version: $LATEST\n")
        with self.memory_limit() as memory:
            try:
                answer = self._api.invoke(request_id, payload, client_context, self._function.timeout_s)
            except Cut as cut:
                yield self._cut(Cut(_KILLED) if memory and memory.exceeded else cut, request_id)
                return
            try:
                yield OpenedAnswer(request_id, answer)
            finally:
                close_pieces(answer.pieces)
                milliseconds = (time.monotonic() - started) * 1000
                self.log.note(f"END RequestId: {request_id}\n")
                self.log.note(
                    f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
                    f"Billed Duration: {math.ceil(milliseconds)} ms\t"
                    f"Memory Size: {self._function.memory_mb} MB\tMax Memory Used: {self._peak_mb()} MB\n"
                )

    def said(self) -> str:
        """What was logged of the last request, with the handler's own line, which comes through a pipe."""
        return self.log.end(0, own_line=True)[1]

    def stop(self) -> None:
        self._api.close()
        super().stop()

    def _command(self, settings: Emulators) -> list[str]:
        self._api = RuntimeApi(self._runtime_port, self._function.arn)
        return settings.streaming_command(self._function, self._tmp)

    def _environment(self, settings: Emulators) -> dict[str, str]:
        address = f"127.0.0.1:{self._runtime_port}"
        return {**super()._environment(settings), "AWS_LAMBDA_RUNTIME_API": address}

    def _cut(self, cut: Cut, request_id: str) -> InvocationResult:
        """The answer broke off: so does this instance."""
        self._failed = True
        kind = "Sandbox.Timedout" if "timed out" in str(cut) else "Runtime.ExitError"
        failure = _error(kind, f"RequestId: {request_id} Error: {cut}")
        return InvocationResult(failure, True, self.log.end(0)[1], request_id)

    def _watch(self) -> None:
        self._process.wait()
        self._api.runtime_ended("Runtime exited without an answer")


@dataclass(frozen=True)
class OpenedAnswer:
    """An answer on its way."""

    request_id: str
    answer: Answer


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
