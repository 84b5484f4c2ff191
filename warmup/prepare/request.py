"""What is asked of preparing, what the files of its snapshot say before they are loaded, how it can end."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from hf_lambda.manifest import requested_of
from hf_lambda.ranking import is_judge
from hf_lambda.sentence_embedding import static_folder
from hf_lambda.tasks import canonical, head_of

from ..protocol.errors import ErrorKind
from ..protocol.records import Json, Record
from .decoder.families import FAMILIES

RECIPE = 6
"""Raise it when a change of this package makes prepared folders differ: the old ones are made again."""

MEMORY_MB = 3008
"""Of the function that serves, where nobody says: what new accounts are held to."""

_FILE = "request.json"
_HALF = ("float16", "bfloat16")


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
class AdapterSnapshot:
    """A LoRA adapter in the cache. revision: as the script says it, None for the default branch."""

    repo_id: str
    revision: str | None
    commit: str
    path: Path


@dataclass(frozen=True)
class PrepareRequest:
    """One model for one task; `write` and `read` hand it to the processes that run the steps."""

    task: str
    repo_id: str
    commit: str
    snapshot: Path
    precision: str = "auto"
    """"auto" and "int8": int8 where the gate passes it, else fp32 with a reason; "fp32": fp32; "int4": of
    language models, else the next better one."""
    samples: tuple[Json, ...] | None = None
    """The user's own gate samples, as JSON; None: the built-in ones of the task."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    machine: str = field(default_factory=platform.machine)
    memory_mb: int = MEMORY_MB
    """Of the function that serves it: a language model whose precision fails the gate is served in a better
    one only where that fits."""
    max_context: int | None = None
    """Tokens that a text of a language model holds; None: the default."""
    adapter: AdapterSnapshot | None = None
    """Merged into the model."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", canonical(self.task))
        object.__setattr__(self, "snapshot", self.snapshot.absolute())

    @property
    def head(self) -> str:
        return head_of(self.task)

    @property
    def is_static(self) -> bool:
        """Whether it is a table of token vectors, without a network."""
        return self.head == "feature-extraction" and static_folder(self.snapshot) is not None

    @property
    def is_language_model(self) -> bool:
        """Whether the graph is written from the weights: with a head, of states for embeddings, or of the one
        number that ranks."""
        config = config_of(self.snapshot)
        if self.head == "feature-extraction" or (self.task == "text-ranking" and is_judge(config)):
            return config.get("model_type") in FAMILIES
        return self.head == "causal-lm"

    @property
    def first_precision(self) -> str:
        """The precision that a language model is tried in first."""
        return self.precision if self.precision in ("int4", "fp32") else "int8"

    @property
    def folder_name(self) -> str:
        """Name of the published folder: everything that a prepared model depends on beside its commit."""
        ort, merged = version("onnxruntime"), ""
        if self.adapter:
            merged = f"-{self.adapter.repo_id.replace('/', '--')}-{self.adapter.commit[:12]}"
        return f"{self.head}-{self.precision}{merged}-r{RECIPE}-ort{ort}-{self.machine}"

    @property
    def requested(self) -> str:
        """What a script asks for it by, beside the head."""
        adapter = self.adapter
        return requested_of(self.precision, *((adapter.repo_id, adapter.revision) if adapter else ()))

    @property
    def gate_key(self) -> str:
        """Changes with the samples and the tolerance: other demands, another check."""
        samples = None if self.samples is None else list(self.samples)
        text = json.dumps([samples, asdict(self.tolerance)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write(self, work: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        (work / _FILE).write_text(json.dumps(self.to_json()))

    @classmethod
    def read(cls, work: Path) -> PrepareRequest:
        return cls.from_json(json.loads((work / _FILE).read_text()))

    def to_json(self) -> dict[str, Json]:
        adapter = {**asdict(self.adapter), "path": str(self.adapter.path)} if self.adapter else None
        return {**asdict(self), "snapshot": str(self.snapshot), "adapter": adapter}

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> PrepareRequest:
        samples, adapter = document["samples"], document.get("adapter")
        return cls(
            **{
                **document,
                "snapshot": Path(document["snapshot"]),
                "samples": None if samples is None else tuple(samples),
                "tolerance": Tolerance(**document["tolerance"]),
                "adapter": AdapterSnapshot(**{**adapter, "path": Path(adapter["path"])}) if adapter else None,
            }
        )


Figures = Mapping[str, float]
"""Name of a measure -> how a candidate compares with transformers by it."""


@dataclass(frozen=True)
class Verdict(Record):
    """What the gate says of a candidate: its figures, and why it is refused (None: it passes)."""

    figures: Figures
    refused: str | None = None


class NotPrepared(Exception):  # noqa: N818 - a result, and its name is what the report shows
    """The model stays on torch; `reason` is one sentence for the report."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PrepareFailed(NotPrepared):
    """No verdict on the model: the machine had too little memory, disk or time, or the repository lacks what
    the task needs. What an earlier warm-up published is still right. `kind` is for programs."""

    def __init__(self, reason: str, kind: ErrorKind = ErrorKind.NOT_PREPARED) -> None:
        super().__init__(reason)
        self.kind = kind


class Unfinished(Exception):  # noqa: N818 - not an error: call again and it goes on
    """Stopped cleanly with steps left (no time, or another run is at it); the finished ones are kept."""


def config_of(snapshot: Path) -> Mapping[str, Json]:
    """config.json; empty where there is none that can be read."""
    try:
        document = json.loads((snapshot / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def fp32_bytes(snapshot: Path) -> int:
    """Size of the weights in fp32, whatever they are stored in."""
    shapes = [shape for path in snapshot.glob("*.safetensors") for shape in _shapes(path)]
    if shapes:
        return 4 * sum(math.prod(shape) for shape in shapes)
    stored = sum(path.stat().st_size for path in snapshot.glob("pytorch_model*.bin"))
    config = config_of(snapshot)
    return stored * (2 if config.get("dtype", config.get("torch_dtype")) in _HALF else 1)


def _shapes(path: Path) -> Iterator[list[int]]:
    """Shapes of the tensors of a safetensors file; none where its header is damaged."""
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            yield from [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
            return
