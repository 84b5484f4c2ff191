"""Tiny language models: written as a graph, and as transformers has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers

from hf_lambda.onnx_engine.decoder.loop import Row, decode
from hf_lambda.onnx_engine.decoder.model import Model
from hf_lambda.onnx_engine.decoder.options import generation_of
from tests.tiny_decoders import write
from tests.tiny_seq2seq import one_thread

VOCABULARY = 160
CONTEXT = 96


@dataclass
class Pair:
    """One random model twice; `precise` is transformers' in fp64."""

    ours: Model
    theirs: Any
    precise: Any

    def generate(self, prompts: Sequence[list[int]], **options: Any) -> list[list[int]]:
        """What each prompt is continued with, as one batch."""
        shipped = {"eos_token_id": 2, "do_sample": False}
        asked = [
            generation_of(shipped, options, len(prompt), context=CONTEXT, vocabulary=VOCABULARY)
            for prompt in prompts
        ]
        rows = [Row(prompt, one, seed=None) for prompt, one in zip(prompts, asked, strict=True)]
        for _ in decode(self.ours, prompts, rows):
            pass
        return [row.tokens for row in rows]

    def expected(self, prompt: list[int], *, precise: bool = False, **options: Any) -> list[int]:
        model = self.precise if precise else self.theirs
        ids = torch.tensor([prompt])
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # advice: a minimum beyond the maximum, ...
            answer = model.generate(
                ids, attention_mask=torch.ones_like(ids), **{"do_sample": False, "eos_token_id": 2, **options}
            )
        tokens: list[int] = answer[0, len(prompt) :].tolist()
        return tokens


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pair]]:
    """`pair("qwen3", seed=1)`, each written once."""
    made: dict[tuple[str, int], Pair] = {}

    def make(family: str, seed: int = 0) -> Pair:
        if (family, seed) not in made:
            folder = tmp_path_factory.mktemp(family)
            theirs = write(family, folder, VOCABULARY, seed=seed)
            precise = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
            made[family, seed] = Pair(Model(folder, CONTEXT), theirs, precise.eval())
        return made[family, seed]

    with one_thread():
        yield make
