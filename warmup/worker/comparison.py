"""What the weights of a snapshot are for, as the process says that compares them with what tasks need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hf_lambda.torch_engine.trained import Untrained

from ..protocol.records import Record


@dataclass(frozen=True)
class TaskComparison(Record):
    """Of one task. untrained: what is missing; unusable: why the weights cannot be loaded.

    Where it could not be compared: not_comparable, which no other try changes, or failed.
    """

    untrained: Untrained | None = None
    unusable: str | None = None
    not_comparable: str | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Comparison(Record):
    """Of every task; needs_code and unusable are about all of them."""

    tasks: Mapping[str, TaskComparison] = field(default_factory=dict)
    needs_code: str | None = None
    unusable: str | None = None
