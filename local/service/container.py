"""An instance of a function as a container: its image, run the way Lambda runs it, the emulator inside."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_lambda.streaming import STREAMS
from local.docker import images
from local.docker.engine import ContainerEngine
from local.program.functions import Function
from local.service.emulator import GRACE_S, Emulator
from local.service.environment import environment
from local.service.instances import InstanceError
from local.service.ports import Ports
from local.service.runtime_log import RuntimeLog

RELAY = Path(__file__).with_name("relay.py")
EMULATOR = "/usr/local/bin/aws-lambda-rie"
LABEL = "hf-lambda.state"
TMP_MB = 512
"""What a function gets at /tmp unless more is asked for."""
POSIX_ID = 1001
"""User and group that the access point gives every client of the file system."""
TASK_ROOT = Path("/var/task")
_OF_THIS_MACHINE = {"PATH", "PYTHONPATH", "LAMBDA_TASK_ROOT"}  # the image has its own
_CANNOT_STREAM = {STREAMS}  # the emulator in a container waits for whole answers: functions give these
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Containers:
    """Starts instances of functions in containers of the images that `local.docker.images` built."""

    engine: ContainerEngine
    cache: Path
    """Stands for the EFS."""
    state: Path
    """Holds logs/; its path also marks which containers are ours."""
    binary: Path
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Environment by function name, on top of the program's: what AWS or its network would provide."""
    network: str = "host"
    """Network of the functions that need one, the warm-up above all; the others get none."""
    images: Mapping[str, str] = field(
        default_factory=lambda: {target: images.tag(target) for target in images.TARGETS}
    )

    def start(self, function: Function) -> Container:
        """Raises InstanceError if the container does not start."""
        instance = Container(function, self)
        if instance.wait_until_listening():
            return instance
        instance.stop()
        raise InstanceError(f"the container of {function.name} did not start; see {instance.log.path}")

    def arguments(self, function: Function, name: str, ports: tuple[int, int]) -> list[str]:
        """Of `docker run`: read-only but for /tmp, no /dev/shm, no capabilities, the function's memory."""
        memory, identity = f"{function.memory_mb}m", _identity()
        access = "" if function.writes else ",readonly"
        run = ["run", "--interactive", "--rm", "--name", name, "--label", f"{LABEL}={self.state}"]
        run += ["--read-only", *_tmp(function), "--ipc", "none"]
        run += ["--user", identity, "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        run += ["--memory", memory, "--memory-swap", memory, "--network", self.network_of(function)]
        run += ["--mount", f"type=bind,src={self.binary},dst={EMULATOR},readonly"]
        if function.mount:
            run += ["--mount", f"type=bind,src={self.cache},dst={function.mount}{access}"]
        for key, value in self.environment(function).items():
            run += ["--env", f"{key}={value}"]
        run += ["--entrypoint", "python", self.image_of(function)]
        run += ["-I", "-S", "-c", RELAY.read_text(), str(ports[0]), EMULATOR]
        run += ["--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"]
        run += ["--runtime-api-address", f"127.0.0.1:{ports[1]}", "--log-level", "warn"]
        return [*run, "python", "-m", "hf_lambda.runtime", function.command]

    def image_of(self, function: Function) -> str:
        if function.models:
            return self.images.get(f"models-{function.name}") or images.models_tag(function.name)
        return self.images[function.target or "full"]

    def environment(self, function: Function) -> dict[str, str]:
        """What Lambda and the program set; the rest is the image's."""
        extra = self.extra.get(function.name, {})
        given = environment(function, root=TASK_ROOT, tmp=Path("/tmp"), cache=None, extra=extra)
        return {key: value for key, value in given.items() if key not in _OF_THIS_MACHINE | _CANNOT_STREAM}

    def network_of(self, function: Function) -> str:
        """A warmed function needs no network, so it gets none: whatever it tried to reach would fail."""
        return self.network if function.downloads or function.reaches_s3 else "none"

    def adopt_cache(self) -> None:
        """Give the cache to the id that the functions run as, where that takes root."""
        if os.getuid() == 0:
            for path in (self.cache, *self.cache.rglob("*")):
                os.chown(path, POSIX_ID, POSIX_ID, follow_symlinks=False)

    def remove_all(self) -> None:
        """Remove what an earlier run left behind."""
        if left := self.engine.text(
            "ps", "--all", "--quiet", "--filter", f"label={LABEL}={self.state}"
        ).split():
            self.engine.run("rm", "--force", "--volumes", *left)


def _tmp(function: Function) -> list[str]:
    """What holds whole models lies on the disk: a tmpfs would take it from the function's memory."""
    if function.storage_mb <= TMP_MB:
        return ["--tmpfs", f"/tmp:rw,exec,nosuid,nodev,mode=1777,size={TMP_MB}m"]
    return ["--mount", "type=volume,dst=/tmp"]


class Container(Emulator):
    """One container; the emulator in it is spoken to by the container's stdin and stdout."""

    def __init__(self, function: Function, settings: Containers) -> None:
        self._function = function
        self._engine = settings.engine
        self._stopped = False
        self._failed = False
        self._turn = threading.Lock()
        self.name = f"hf-lambda-{function.name}-{uuid.uuid4().hex[:8]}-{next(_numbers)}"
        shares_ports = settings.network_of(function) != "none"
        self._ports = Ports(2 if shares_ports else 0)
        port, runtime_port = self._ports.numbers or (8080, 9001)
        arguments = settings.arguments(function, self.name, (port, runtime_port))
        pipe = subprocess.PIPE
        self._process = settings.engine.attach(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self._process.stderr is not None
        self.log = RuntimeLog(self._process.stderr, settings.state / "logs" / f"{function.name}.log")

    def wait_until_listening(self) -> bool:
        assert self._process.stdout is not None
        return self._process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        self._stopped = True
        self._engine.run("rm", "--force", "--volumes", self.name, check=False)
        self._process.wait()
        self._ports.release()
        self.log.close()
        with self._turn:
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()

    def memory_limit(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # the engine holds it

    def _post(self, payload: bytes, client_context: str | None) -> tuple[int, bytes]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        watchdog = threading.Timer(self._function.timeout_s + GRACE_S, self._kill)
        watchdog.start()
        try:
            with self._turn:
                head = json.dumps({"bytes": len(payload), "context": client_context})
                stdin.write(head.encode() + b"\n" + payload)
                stdin.flush()
                if not (line := stdout.readline()):
                    raise ConnectionError(f"container {self.name} is gone")
                answer = json.loads(line)
                return answer["status"], stdout.read(answer["bytes"])
        finally:
            watchdog.cancel()

    def _kill(self) -> None:
        self._engine.run("kill", self.name, check=False)


def _identity() -> str:
    """Never root: the access point's id, or our own where files of that id could not be removed again."""
    user, group = (POSIX_ID, POSIX_ID) if os.getuid() == 0 else (os.getuid(), os.getgid())
    return f"{user}:{group}"
