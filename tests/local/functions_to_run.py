"""A function that does what it is asked, and its declaration."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local.program.functions import Function
from local.service.instances import Instance, InvocationResult

PROBE = '''"""Does what the event says."""

import mmap
import os
import time
from pathlib import Path

starts = time.time()
calls = 0
held = []


def handler(event, context):
    global calls
    calls += 1
    print("asked", sorted(event))
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "big" in event:
        return "x" * event["big"]
    if "list" in event:
        return sorted(os.listdir(event["list"]))
    if "allocate_mb" in event:
        held.append(b"x" * (event["allocate_mb"] << 20))
    if "free" in event:
        held.clear()
    if "map" in event:
        with open(event["map"], "rb") as file:
            held.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        sum(held[-1][:: mmap.PAGESIZE])
    if "write" in event:
        Path(event["write"]).write_text("written")
    if "touch" in event:
        (Path(os.environ["MODEL_CACHE"]) / event["touch"]).write_text("busy")
    while "until" in event and not Path(event["until"]).exists():
        time.sleep(0.01)
    return {
        "event": event,
        "pid": os.getpid(),
        "calls": calls,
        "environment": dict(os.environ),
        "files": sorted(path.name for path in Path(os.environ["MODEL_CACHE"]).iterdir()),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "client_context": context.client_context and context.client_context.custom,
    }
'''


def declare(name="probe", **changes):
    given = {
        "name": name,
        "function_name": f"{name}-1a2b3c4",
        "arn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}-1a2b3c4",
        "command": "probe.handler",
        "environment": {"MODEL_CACHE": "/mnt/hf_models_cache", "HF_HOME": "/tmp/hf", "ENDPOINT_NAME": name},
        "memory_mb": 512,
        "timeout_s": 30,
        "mount": "/mnt/hf_models_cache",
        "writes": False,
        "target": "slim",
    }
    return Function(**{**given, **changes})


@dataclass
class InMemory:
    """Instances without a process. answer: function and event -> the answer, and whether it is a failure."""

    answer: Callable[[Function, Any], tuple[Any, bool]]
    usable: bool = True

    def start(self, function: Function) -> Instance:
        answer = self.answer

        class One:
            usable = True

            def invoke(self, payload: bytes, client_context: str | None = None) -> InvocationResult:
                said, failed = answer(function, json.loads(payload))
                return InvocationResult(json.dumps(said).encode(), failed, "", "1")

            def stop(self) -> None:
                pass

        return One()


def wait_for(path, limit_s=60):
    """Until another process has made `path`."""
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while not path.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"{path} did not appear")
        pause.wait(0.01)
