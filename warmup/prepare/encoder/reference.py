"""transformers' own answers to the gate's samples, written while the model is in memory anyway."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..request import PrepareRequest
from ..samples import Sample, samples_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MAX_TOKENS = 512
"""Longer samples say nothing more and take long."""


@dataclass(frozen=True)
class Encoding:
    """A sample's tokens, by the names of the graph's inputs."""

    input_ids: list[int]
    attention_mask: list[int]
    token_type_ids: list[int]


@dataclass(frozen=True)
class ReferenceAnswer:
    """What transformers made of one sample: its tokens, and the model's outputs by name."""

    encoding: Encoding
    outputs: Mapping[str, NDArray[Any]]


def write(
    request: PrepareRequest,
    work: Path,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    inputs: Sequence[str],
    outputs: Sequence[str],
    encode: Callable[[Sample], Encoding] | None = None,
) -> None:
    """Write `reference.npz`: per sample and output the model's own numbers, one sample at a time, unpadded.

    Also `encodings.json`, the token ids of every sample, by which the served tokenizer is checked.
    encode: a sample's tokens; None: what the tokenizer makes of it.
    """
    import torch  # the gate reads this module too, and needs none

    encode = encode or partial(_encode, tokenizer)
    encodings = [encode(sample) for sample in samples_of(request, tokenizer.mask_token)]
    arrays: dict[str, NDArray[Any]] = {}
    with torch.no_grad():
        for index, encoding in enumerate(encodings):
            given = asdict(encoding)
            result = model(**{name: torch.tensor([given[name]]) for name in inputs if name in given})
            for name in outputs:
                rows = _compared_rows(request.head, tokenizer, encoding)
                arrays[f"{index}.{name}"] = result[name][0].numpy()[rows]
    np.savez(work / "reference.npz", allow_pickle=False, **arrays)
    (work / "encodings.json").write_text(json.dumps([asdict(encoding) for encoding in encodings]))


def read(work: Path) -> list[ReferenceAnswer]:
    """transformers' answers, in the order of the samples."""
    encodings = [Encoding(**document) for document in json.loads((work / "encodings.json").read_text())]
    with np.load(work / "reference.npz") as arrays:
        names = [key.removeprefix("0.") for key in arrays if key.startswith("0.")]
        return [
            ReferenceAnswer(encoding, {name: arrays[f"{index}.{name}"] for name in names})
            for index, encoding in enumerate(encodings)
        ]


def max_tokens(max_length: int | None) -> int:
    """Tokens that a sample is cut to, where the tokenizer has this `max_length`."""
    return min(max_length or _MAX_TOKENS, _MAX_TOKENS)


def _encode(tokenizer: PreTrainedTokenizerBase, sample: Sample) -> Encoding:
    texts = sample if isinstance(sample, tuple) else (sample,)
    encoded = tokenizer(*texts, truncation=True, max_length=max_tokens(tokenizer.model_max_length))
    ids = list(encoded["input_ids"])
    return Encoding(ids, [1] * len(ids), list(encoded.get("token_type_ids", [0] * len(ids))))


def _compared_rows(
    head: str, tokenizer: PreTrainedTokenizerBase, encoding: Encoding
) -> EllipsisType | NDArray[np.bool_]:
    """Everything, but of a masked model the rows of the masks: the rest is a vocabulary per token."""
    if head != "masked-lm":
        return ...
    masks: NDArray[np.bool_] = np.array(encoding.input_ids) == tokenizer.mask_token_id
    return masks
