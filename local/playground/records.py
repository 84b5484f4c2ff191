"""What the page gets as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from warmup.protocol.records import Json, Record


@dataclass(frozen=True)
class ModelInfo(Record):
    """A model of an endpoint, with what the cache says of it. A folder beside the scripts has no link."""

    repo_id: str
    task: str
    revision: str
    link: str | None
    commit: str | None
    """None: not in the cache."""
    bytes: int | None
    engine: str
    """onnx or torch, as it is served; as the script says it while the model is not warm."""
    precision: str | None
    """Of the prepared form; None: there is none."""
    agreement: Mapping[str, Mapping[str, float]]
    """Per precision that was compared with transformers: what was measured."""
    reason: str | None
    """Why it is not prepared, or not in int8; why it was refused."""


@dataclass(frozen=True)
class EndpointInfo(Record):
    """One endpoint. `fields`: JSON Schema of its events. `url`: its own address, where it has one."""

    name: str
    summary: str
    arn: str
    url: str | None
    models: tuple[ModelInfo, ...]
    image: str
    memory_mb: int | None
    streams: bool
    speaks: Literal["openai", "tei"] | None
    path: str
    """What requests to `url` are for."""
    fields: Json
    example: Json
    url_needs: Literal["signature", "key"] | None = None
    """What requests to `url` have to carry."""


@dataclass(frozen=True)
class StackInfo(Record):
    """Endpoints of a stack. `endpoint_url`: of a local stack's Lambda API."""

    name: str
    region: str
    endpoint_url: str | None
    endpoints: tuple[EndpointInfo, ...]
    keeps_instances: str | None = None
    """Why the page cannot retire instances; None: it can."""
    edition: int | None = None
    """Grows with every change that `make dev` follows; None: nobody follows changes."""


@dataclass(frozen=True)
class Edition(Record):
    """What `make dev` says of the scripts now. `problems`: why some are not served as they stand."""

    number: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Update(Record):
    """What `make dev` tells the gateway. `functions`: the program was declared anew, to be read again.

    `changed`: names of the endpoints whose code is another.
    """

    functions: bool
    changed: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Cost(Record):
    """What a request took. `phases`: milliseconds by name, in their order; None where nobody said.

    `million_usd`: a million such requests.
    """

    total_ms: float
    cold: bool | None
    engine: str | None
    phases: Mapping[str, float]
    billed_ms: float | None
    memory_mb: int | None
    peak_mb: int | None
    million_usd: float | None


@dataclass(frozen=True)
class Answered(Record):
    """One answer, whole."""

    status: int
    body: Json
    cost: Cost
    log: tuple[str, ...]


@dataclass(frozen=True)
class Ended(Record):
    """How a streamed answer ended. `error`: what broke it off."""

    cost: Cost
    log: tuple[str, ...]
    error: str | None = None
