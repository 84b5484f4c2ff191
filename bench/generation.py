"""Language models: what the timed calls say of a prompt's and of an answer's tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from bench.workloads import (
    ANSWER_TOKENS,
    BATCH,
    BATCH_TEXTS,
    LONG_ANSWER,
    LONG_PROMPT,
    ONE_TOKEN,
    PROMPT_TOKENS,
)
from hf_lambda.records import Json

COLUMNS = (
    ("prompt tokens/s", "prompt_token_s"),
    ("answer tokens/s", "token_s"),
    ("of eight answers", "batch_token_s"),
    ("prompt tokens/s, one thread", "one_cpu_prompt_token_s"),
    ("answer tokens/s, one thread", "one_cpu_token_s"),
)
"""Titles, and the figure whose inverse is shown."""


def figures(measured: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Seconds a token, of the median call of each event.

    An answer's token is what 64 of them cost beside the first; of a batch it is all of the call.
    """
    seconds = {name: median(values) for name, values in measured.items()}
    return {
        "prompt_token_s": seconds[LONG_PROMPT] / PROMPT_TOKENS,
        "token_s": (seconds[LONG_ANSWER] - seconds[ONE_TOKEN]) / (ANSWER_TOKENS - 1),
        "batch_token_s": seconds[BATCH] / (BATCH_TEXTS * ANSWER_TOKENS),
    }


def is_generation(field: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether the contenders' figures are of a language model."""
    return any("token_s" in measured or f"warm:{ONE_TOKEN}" in measured for measured in field.values())
