"""What the command has to know of a deployed stack, from `pulumi stack output` or a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import WarmupError

LOCAL = "local"
PULUMI_SECONDS = 120


@dataclass(frozen=True)
class Deployment:
    """A stack's outputs. `functions`: ARN by script name. `endpoint_url`: the local gateway, None on AWS."""

    stack: str
    warmup_arn: str
    functions: Mapping[str, str] = field(default_factory=dict)
    endpoint_url: str | None = None
    staging_bucket: str | None = None

    @property
    def region(self) -> str:
        return self.warmup_arn.split(":")[3]

    @property
    def up(self) -> str:
        """The command that deploys this stack."""
        return "make up" if self.stack == LOCAL else f"pulumi up --stack {self.stack}"


def read_deployment(
    root: Path, stack: str | None, file: Path | None = None, endpoint_url: str | None = None
) -> Deployment:
    """The outputs in `file`, else those of `stack` (local: `.local/outputs.json`, which `make up` writes).

    Raises WarmupError that says what to run where there are none.
    """
    if file is None and stack in (None, LOCAL):
        stack, file = LOCAL, root / ".local" / "outputs.json"
    if file is not None:
        outputs = _of_file(file)
        stack = stack or str(outputs.get("stack") or LOCAL)
    else:
        stack = str(stack)
        outputs = _of_pulumi(root, stack)
    return _deployment(stack, outputs, endpoint_url)


def _deployment(stack: str, outputs: Mapping[str, Any], endpoint_url: str | None) -> Deployment:
    arn, functions = outputs.get("warmupArn"), outputs.get("functions")
    if not (isinstance(arn, str) and arn.count(":") >= 6 and isinstance(functions, dict)):
        deploy = "make up" if stack == LOCAL else f"pulumi up --stack {stack}"
        raise WarmupError(
            "usage", f"stack {stack} has no outputs warmupArn and functions. Run {deploy} first"
        )
    return Deployment(
        stack,
        arn,
        functions,
        endpoint_url or outputs.get("endpointUrl") or None,
        outputs.get("stagingBucket") or None,
    )


def _of_file(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        raise WarmupError(
            "usage", f"{file} is not there. Run make up, or name a stack: --stack dev"
        ) from None
    except ValueError as error:
        raise WarmupError(
            "usage", f"{file} is not JSON ({error}). Write it with: pulumi stack output --json"
        ) from None
    if not isinstance(document, dict):
        raise WarmupError("usage", f"{file} holds no object. Write it with: pulumi stack output --json")
    return document


def _of_pulumi(root: Path, stack: str) -> dict[str, Any]:
    command = ["pulumi", "stack", "output", "--json", "--stack", stack]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PULUMI_SECONDS)
    except FileNotFoundError:
        fix = "Install it from pulumi.com/docs/install, or pass --outputs FILE (pulumi stack output --json)"
        raise WarmupError("usage", f"pulumi is not on the PATH. {fix}") from None
    except subprocess.TimeoutExpired:
        raise WarmupError(
            "pulumi", f"`{' '.join(command)}` did not answer within {PULUMI_SECONDS} s"
        ) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise WarmupError(
            "usage", f"`{' '.join(command)}` failed: {said}. Deploy with: pulumi up --stack {stack}"
        )
    outputs: dict[str, Any] = json.loads(done.stdout)
    return outputs
