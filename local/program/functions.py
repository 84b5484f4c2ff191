"""What the program declares, as far as one machine needs it: functions and outputs."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARMUP_COMMAND = "warmup.worker.handler.handler"
DEFAULT_RETRIES = 2  # Lambda's own, for asynchronous invocations without an EventInvokeConfig


@dataclass(frozen=True)
class Function:
    """One Lambda function of the program."""

    name: str
    """Name of the script; "warmup" for the warm-up."""
    function_name: str
    """Name on AWS, as in the ARN."""
    arn: str
    command: str
    """What the image runs, for instance `sentiment.handler`."""
    environment: dict[str, str]
    memory_mb: int
    timeout_s: int
    mount: str | None
    """Where the cache is mounted, for instance `/mnt/hf_models_cache`."""
    writes: bool
    """Whether its role may write to the cache (`elasticfilesystem:ClientWrite`)."""
    target: str | None
    """Build target of its image: `slim` or `full`."""
    max_instances: int | None = None
    """Reserved concurrency; None without a reservation."""
    retries: int = DEFAULT_RETRIES
    """How often a failed asynchronous invocation is tried again."""
    url: str | None = None
    """Authorisation of its Function URL (`NONE` or `AWS_IAM`); None without one."""

    @property
    def is_warmup(self) -> bool:
        return self.command == WARMUP_COMMAND


@dataclass(frozen=True)
class Program:
    """Functions and stack outputs that a run of `__main__.py` registered."""

    functions: tuple[Function, ...]
    outputs: dict[str, Any]

    def dumps(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def load(cls, path: Path) -> "Program":
        """Read what `dumps` wrote."""
        data = json.loads(path.read_text())
        return cls(tuple(Function(**each) for each in data["functions"]), data["outputs"])
