"""What is to be prepared and how well: the plan of one run, as its steps read it from the work folder."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hf_lambda.tasks import canonical, head_of

RECIPE = 2
"""Raise it when a change of this package makes prepared folders differ: the old ones are made again."""


MEMORY_MB = 3008
"""Of the function that serves, where nobody says: what new accounts are held to."""


class NotPrepared(Exception):  # noqa: N818 - a result, and its name is what the report shows
    """The model stays on torch; `reason` is one sentence for the report."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unfinished(Exception):  # noqa: N818 - not an error: call again and it goes on
    """Stopped cleanly with steps left (no time, or another run is at it); the finished ones are kept."""


class Disagreement(Exception):  # noqa: N818
    """The gate's no: the candidate answers otherwise than transformers, and by how much."""

    def __init__(self, reason: str, agreement: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason, self.agreement = reason, agreement


@dataclass(frozen=True)
class Tolerance:
    """How far a prepared model may be from transformers before it is refused."""

    fp32: float = 1e-4
    """Largest difference of probabilities, and of raw outputs relative to max(1, their largest value)."""
    probability: float = 0.05
    """int8: largest difference of a probability."""
    cosine: float = 0.99
    """int8: smallest cosine between embeddings."""
    same_text: float = 0.75
    """int8: smallest share of generations whose text is the same."""
    int8_kl: float = 0.01
    """Language models in 8 bits: largest mean KL divergence from transformers, in nats a token."""
    int8_same_choice: float = 0.98
    """The same: smallest share of the tokens that transformers is sure of that are the likeliest here too."""
    int8_perplexity: float = 0.01
    """The same: by how much the perplexity may grow, as a share."""
    int4_kl: float = 0.05
    """These three in 4 bits."""
    int4_same_choice: float = 0.95
    int4_perplexity: float = 0.05


@dataclass(frozen=True)
class Plan:
    """One model for one head; `<work>/plan.json` hands it to steps in processes of their own."""

    task: str
    model: str
    commit: str
    snapshot: str
    work: str
    requested: str = "auto"
    samples: list[Any] | None = None
    """The user's own gate samples; None: the built-in ones of the task."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    machine: str = field(default_factory=platform.machine)
    memory_mb: int = MEMORY_MB

    @property
    def head(self) -> str:
        return head_of(self.task)

    @property
    def name(self) -> str:
        """Name of the published folder: everything that a prepared model depends on beside its commit."""
        ort = version("onnxruntime")
        return f"{self.head}-{self.requested}-r{RECIPE}-ort{ort}-{self.machine}"

    @property
    def gate_key(self) -> str:
        """Changes with the samples and the tolerance: other demands, another check."""
        text = json.dumps([self.samples, asdict(self.tolerance)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write(self) -> None:
        path = Path(self.work, "plan.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, work: Path) -> Plan:
        document = json.loads((work / "plan.json").read_text())
        return cls(**{**document, "tolerance": Tolerance(**document["tolerance"])})


def plan_of(task: str, snapshot: Path, work_parent: Path, **options: Any) -> Plan:
    """A plan whose work folder lies beside the folder that it will publish."""
    plan = Plan(task=canonical(task), snapshot=str(snapshot), work="", **options)
    return Plan(**{**vars(plan), "work": str(work_parent / f".work-{plan.name}")})
