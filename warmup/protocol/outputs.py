"""The outputs of a stack that its commands need: `pulumi stack output --json`, or `.local/outputs.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from .records import OMIT_DEFAULT, Key, Record

LOCAL = "local"
STACK_OUTPUTS = "STACK_OUTPUTS"
"""Variable of the function that releases: the outputs that the command would read."""
MOST_CANARY_MINUTES = 60
"""That this function watches. It goes on by starting itself, which Lambda stops after some 16 times:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""


LINES_OF_A_CHILD = 10
"""Of a batch in S3: what one child execution asks for, all of it at once."""


@dataclass(frozen=True)
class GatedRelease(Record):
    """`versions`: the newest of each endpoint. `canary`: percent of the requests that it gets first."""

    versions: Mapping[str, str]
    canary: int
    canary_minutes: Annotated[int, Key("canaryMinutes")]


@dataclass(frozen=True)
class BatchMachines(Record):
    """`bucket`: the bucket, or `bucket/folder/`, of files in and out. `machines`: ARN by script."""

    bucket: str
    machines: Mapping[str, str]


@dataclass(frozen=True)
class StackOutputs(Record):
    """`functions`: ARN by script name. `endpoint_url`: of the gateway, an output of the local stack alone.

    `warmup_arn`: None where every endpoint has its models in its image. `in_image`: those that have.
    """

    warmup_arn: Annotated[str | None, Key("warmupArn"), OMIT_DEFAULT] = None
    functions: Mapping[str, str] = field(default_factory=dict)
    stack: str = LOCAL
    endpoint_url: Annotated[str | None, Key("endpointUrl"), OMIT_DEFAULT] = None
    code_arn: Annotated[str | None, Key("warmupCodeArn"), OMIT_DEFAULT] = None
    relay_arn: Annotated[str | None, Key("relayArn"), OMIT_DEFAULT] = None
    staging_bucket: Annotated[str | None, Key("stagingBucket"), OMIT_DEFAULT] = None
    function_urls: Annotated[Mapping[str, str], Key("functionUrls")] = field(default_factory=dict)
    memory_mb: Annotated[Mapping[str, int], Key("memoryMb")] = field(default_factory=dict)
    """Of each function, by script; a stack of an earlier version does not say."""
    queues: Annotated[Mapping[str, Mapping[str, str]], OMIT_DEFAULT] = field(default_factory=dict)
    """By script with `async: true`: the addresses of its queues, `answers` and `failures`."""
    release: Annotated[GatedRelease | None, OMIT_DEFAULT] = None
    """Where new versions wait to be released (`release: gated`)."""
    in_image: Annotated[tuple[str, ...], Key("inImage"), OMIT_DEFAULT] = ()
    batch: Annotated[BatchMachines | None, OMIT_DEFAULT] = None
    """Where any script has `batch: true`."""

    @property
    def region(self) -> str:
        return self.any_arn.split(":")[3]

    @property
    def any_arn(self) -> str:
        """Of a function; empty where there is none."""
        return self.warmup_arn or next(iter(self.functions.values()), "")

    @property
    def deploy_command(self) -> str:
        """What deploys this stack."""
        return deploy_command(self.stack)


def deploy_command(stack: str) -> str:
    return "make up" if stack == LOCAL else f"pulumi up --stack {stack}"
