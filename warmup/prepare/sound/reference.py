"""transformers' own numbers for the gate's sounds, written while the model is in memory anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NEW_TOKENS = 32
"""Of Whisper: enough to disagree in, few enough for a small one within a minute."""
_FORCED, _FORCED_TOKENS = 4, 16
"""Sounds, and tokens of each, whose scores are compared one by one."""


@dataclass(frozen=True)
class Answer:
    """Of one sound: its features, and transformers' scores - of Whisper along the tokens that it wrote."""

    features: NDArray[Any]
    logits: NDArray[Any] | None
    tokens: list[int]
    """Of Whisper alone: prompt and answer."""


def write(work: Path, model: PreTrainedModel, features: Sequence[NDArray[Any]]) -> None:
    """Write `reference.npz` of a network with one graph."""
    import torch  # the gate reads this module too, and needs none

    answers = []
    with torch.inference_mode():
        for values in features:
            logits = model(torch.from_numpy(values[None])).logits[0].numpy()
            answers.append(Answer(values, logits, []))
    _save(work, answers)


def write_whisper(work: Path, model: PreTrainedModel, features: Sequence[NDArray[Any]]) -> None:
    """Write `reference.npz` of a Whisper: what it writes greedily, prompt included, and its scores."""
    import torch

    answers = []
    positions = model.config.max_target_positions
    with torch.inference_mode():
        for index, values in enumerate(features):
            inputs = torch.from_numpy(values[None])
            (row,) = model.generate(
                input_features=inputs,
                num_beams=1,
                max_new_tokens=min(NEW_TOKENS, positions // 2),
                return_timestamps=False,
                force_unique_generate_call=True,  # with the prompt
            )
            tokens = row.tolist()
            logits = None
            if index < _FORCED:
                forced = torch.tensor([tokens[:_FORCED_TOKENS]])
                logits = model(input_features=inputs, decoder_input_ids=forced).logits[0].numpy()
            answers.append(Answer(values, logits, tokens))
    _save(work, answers)


def read(work: Path) -> list[Answer]:
    answers = []
    with np.load(work / "reference.npz") as arrays:
        for index in range(int(arrays["count"])):
            logits = arrays.get(f"{index}.logits")
            tokens = arrays[f"{index}.tokens"].tolist()
            answers.append(Answer(arrays[f"{index}.features"], logits, tokens))
    return answers


def _save(work: Path, answers: Sequence[Answer]) -> None:
    arrays: dict[str, NDArray[Any]] = {"count": np.array(len(answers))}
    for index, answer in enumerate(answers):
        arrays[f"{index}.features"] = answer.features
        arrays[f"{index}.tokens"] = np.array(answer.tokens, np.int64)
        if answer.logits is not None:
            arrays[f"{index}.logits"] = answer.logits
    np.savez(work / "reference.npz", allow_pickle=False, **arrays)
