"""What a model will be as an endpoint: engine, image, memory, bytes and price, before it is downloaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hf_lambda.tasks import base_of, head_of

from .. import prices
from ..prepare.decoder.families import FAMILIES as LANGUAGE_MODELS
from ..prepare.families import reason_against
from ..prepare.request import MEMORY_MB
from ..protocol.records import Json
from .facts import ModelFacts

CONTEXT = 2048
"""Tokens that a language model's script asks for, where it takes as many."""
MOST_MEMORY_MB = 10_240
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: "128 MB to 10,240 MB"."""
_TEXT_ENCODERS = (
    *("sequence-classification", "token-classification", "question-answering", "masked-lm"),
    "feature-extraction",
)
_CONVOLUTIONS = ("convnext", "convnextv2", "efficientnet", "mobilenet_v2", "mobilevit", "resnet")
"""Families of images that stay in fp32: int8 changes matrices alone."""


@dataclass(frozen=True)
class Forecast:
    """Estimates, but for `download_bytes`. MB are 10^6 bytes on disk and 2^20 of memory, as AWS has them."""

    prepared: bool
    why: str
    download_bytes: int
    cold_bytes: int
    """Read from the cache at a cold start, at most."""
    needs_mb: int
    """Of memory."""
    memory_mb: int
    """What to set as `memoryMb`."""
    warm_ms: float | None
    """A request, where such a model was measured."""
    measured: str
    """What `warm_ms` was scaled from."""

    @property
    def million_usd(self) -> float | None:
        return None if self.warm_ms is None else prices.million_usd(self.memory_mb, self.warm_ms)

    @property
    def second_usd(self) -> float:
        """A million requests of a second each."""
        return prices.million_usd(self.memory_mb, 1000)


def forecast(facts: ModelFacts, task: str) -> Forecast:
    family, reason = facts.family, reason_against(task, facts.config)
    is_static = facts.is_static and base_of(task) == "feature-extraction"
    prepared = is_static or reason is None
    if is_static:
        why = "static embeddings are, as a table that is mapped"
    else:
        why = reason or (
            f"{family} models are, for {base_of(task)}; the warm-up compares it with transformers first"
        )
    weights = sum(file.size for file in facts.files if file.path.endswith((".safetensors", ".bin")))
    parameters = facts.parameters or weights // _stored_bytes(facts.config)
    language_model = prepared and family in LANGUAGE_MODELS
    if prepared:
        cold = int(
            parameters * (1.125 if language_model else 4 if is_static or family in _CONVOLUTIONS else 1.05)
        )
        # docs/prepared.md: what language models take; encoders stay below it (bench/results.md).
        needs = 200 + 1.5 * cold / 2**20 + (_cache_mb(facts.config) if language_model else 0)
    else:
        cold = facts.bytes
        # bench/results.md: 536 MB with 268 MB of weights, 2,382 MB with 1,625 MB; loaded as fp32.
        needs = 300 + 1.35 * parameters * 4 / 2**20
    needs_mb = math.ceil(needs)
    warm_ms, measured = _warm_ms(facts, task, prepared, parameters)
    return Forecast(
        prepared,
        why,
        facts.bytes,
        cold,
        needs_mb,
        max(MEMORY_MB, math.ceil(needs_mb / 64) * 64),
        warm_ms,
        measured,
    )


def context_of(config: Mapping[str, Json]) -> int:
    most = config.get("max_position_embeddings")
    return min(CONTEXT, most) if isinstance(most, int) and most > 0 else CONTEXT


def _stored_bytes(config: Mapping[str, Json]) -> int:
    kind = str(config.get("dtype") or config.get("torch_dtype") or "")
    return 2 if kind in ("float16", "bfloat16") else 4


def _cache_mb(config: Mapping[str, Json]) -> float:
    """Keys and values of `context_of` tokens in fp32."""
    layers, heads, width = (_whole(config, name) for name in _SHAPE)
    kept = _whole(config, "num_key_value_heads") or heads
    head = _whole(config, "head_dim") or (width // heads if heads else 0)
    return layers * kept * head * 2 * 4 * context_of(config) / 2**20


_SHAPE = ("num_hidden_layers", "num_attention_heads", "hidden_size")


def _whole(config: Mapping[str, Json], name: str) -> int:
    value = config.get(name)
    return value if isinstance(value, int) and 0 < value < 10**7 else 0


def _warm_ms(facts: ModelFacts, task: str, prepared: bool, parameters: int) -> tuple[float | None, str]:
    """By bench/results.md, warm: two encoders and one encoder-decoder were measured.

    Encoders: a short text took DistilBERT (43 million parameters beside its embeddings) 4.9 ms prepared and
    23.2 ms on torch, MiniLM (11 million) 2.3 and 9.3 ms. BART-large (406 million): 1,732 and 10,662 ms for an
    article of 525 tokens and a summary of 60, with four beams.
    """
    head, config = head_of(task), facts.config
    if (
        head in _TEXT_ENCODERS
        and not facts.is_static
        and facts.family not in LANGUAGE_MODELS
        and facts.family != "bart"
    ):
        wide = _whole(config, "vocab_size") * (_whole(config, "hidden_size") or _whole(config, "dim"))
        millions = max(0, parameters - wide) / 1e6
        per_pass = 1.43 + 0.080 * millions if prepared else 4.66 + 0.43 * millions
        each = {"zero-shot-classification": " and label", "text-ranking": " and document"}.get(
            base_of(task), ""
        )
        return per_pass, f"a short text{each}, warm, scaled from DistilBERT and MiniLM"
    if head == "seq2seq-lm":
        millions = parameters / 1e6
        return millions * (4.27 if prepared else 26.3), "525 tokens in, 60 out, four beams, as BART-large"
    return None, "models of this kind were not measured"
