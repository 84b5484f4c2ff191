"""What the program declares, as far as one machine needs it: functions and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hf_lambda.media.stored import INPUT_BUCKET
from hf_lambda.streaming import STREAMS
from warmup.protocol.records import Json, Record

WARMUP_COMMAND = "warmup.worker.handler.handler"
RELAY_COMMAND = "warmup.worker.relay_handler.handler"
REMOTE_CODE_COMMAND = "warmup.worker.try_code.handler"
RELEASE_COMMAND = "warmup.worker.release_handler.handler"
DEFAULT_RETRIES = 2  # Lambda's own, for asynchronous invocations without an EventInvokeConfig

DEFAULT_MAX_AGE_S = 6 * 3600


@dataclass(frozen=True)
class Cors(Record):
    """What a Function URL answers browsers of other origins; header and method names as configured."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age_s: int = 0
    credentials: bool = False


@dataclass(frozen=True)
class FunctionUrl(Record):
    """HTTPS address of a function."""

    needs_signature: bool
    """Callers sign with AWS credentials (`functionUrl: iam`)."""
    cors: Cors | None = None


@dataclass(frozen=True)
class Function(Record):
    """One Lambda function of the program."""

    name: str
    """Name of the script; "warmup" for the warm-up."""
    function_name: str
    """Name on AWS, as in the ARN."""
    arn: str
    command: str
    """What the image runs, for instance `sentiment.handler`."""
    environment: Mapping[str, str]
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
    max_age_s: int = DEFAULT_MAX_AGE_S
    """So long it may wait and be tried again."""
    keeps_results: bool = False
    """Whether what became of it is kept (`async: true`)."""
    url: FunctionUrl | None = None
    storage_mb: int = 512
    """What it has at /tmp."""
    version: str | None = None
    """As published; None of a function that has no versions."""
    root: str | None = None
    """Folder that its code lies in; None: the project's."""
    snap_start: bool = False
    """Whether its published version is a snapshot."""
    image_args: Mapping[str, str] = field(default_factory=dict)
    """Build arguments of its own image, where its models are in it."""

    @property
    def is_warmup(self) -> bool:
        return self.command == WARMUP_COMMAND

    @property
    def is_endpoint(self) -> bool:
        """Whether a script is behind it."""
        return self.command not in (WARMUP_COMMAND, RELAY_COMMAND, REMOTE_CODE_COMMAND, RELEASE_COMMAND)

    @property
    def is_relay(self) -> bool:
        return self.command == RELAY_COMMAND

    @property
    def is_release(self) -> bool:
        """Whether it lets new versions serve."""
        return self.command == RELEASE_COMMAND

    @property
    def models(self) -> str | None:
        """Where its image has its models; None where they are not in it."""
        return self.environment.get("MODEL_CACHE") if self.image_args else None

    @property
    def bucket(self) -> str | None:
        """The bucket that models are staged in, for a function that has to do with it."""
        return self.environment.get("STAGING_BUCKET")

    @property
    def input_bucket(self) -> str | None:
        """The bucket whose objects its requests may name."""
        return self.environment.get(INPUT_BUCKET, "").partition("/")[0] or None

    @property
    def reaches_s3(self) -> bool:
        return bool(self.bucket or self.input_bucket)

    @property
    def streams(self) -> bool:
        """Whether its handler answers piece by piece."""
        return self.environment.get(STREAMS) == "1"

    @property
    def downloads(self) -> bool:
        """Whether it asks the Hub for models."""
        if self.is_warmup:
            return self.bucket is None
        return self.is_relay or self.environment.get("COLD_DOWNLOAD") == "1"


@dataclass(frozen=True)
class Program(Record):
    """Functions and stack outputs that a run of `__main__.py` registered."""

    functions: tuple[Function, ...]
    outputs: Mapping[str, Json]
    warnings: tuple[str, ...] = ()

    @property
    def signed(self) -> set[str]:
        """Names of the functions whose URL takes signed requests alone."""
        return {each.name for each in self.functions if each.url and each.url.needs_signature}
