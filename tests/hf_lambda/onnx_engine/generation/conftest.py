"""Exported tiny models, and transformers' `generate` on the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from hf_lambda.onnx_engine.generation.encoder_decoder import EncoderDecoder
from hf_lambda.onnx_engine.generation.options import resolve
from hf_lambda.torch_engine.loading import load_model
from tests.tiny_seq2seq import one_thread, random_model
from warmup.prepare.seq2seq.export import export_decoder, export_encoder

VOCABULARY = 120


@dataclass
class Pair:
    """One random model twice: exported, and as transformers has it (fp32 and fp64)."""

    ours: EncoderDecoder
    theirs: Any
    precise: Any

    def generate(self, sources: list[list[int]], **options: Any) -> list[list[int]]:
        shipped = self.theirs.generation_config.to_dict()
        answers = self.ours.generate(sources, resolve(shipped, options, max_position=None))
        return [sequence for answer in answers for sequence in answer]

    def expected(self, sources: list[list[int]], *, precise: bool = False, **options: Any) -> list[list[int]]:
        """As `generate` gives it, without what it fills up with; None for a beam that never ended."""
        model = self.precise if precise else self.theirs
        longest = max(len(source) for source in sources)
        pad = model.config.pad_token_id
        ids = torch.tensor([source + [pad] * (longest - len(source)) for source in sources])
        mask = torch.tensor([[1] * len(source) + [0] * (longest - len(source)) for source in sources])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice: a minimum beyond the maximum, ...
            result = model.generate(
                input_ids=ids,
                attention_mask=mask,
                return_dict_in_generate=True,
                output_scores=True,
                **options,
            )
        eos = options.get("eos_token_id", model.generation_config.eos_token_id)
        ended = [
            _until_end(row, eos if isinstance(eos, list) else [eos]) for row in result.sequences.tolist()
        ]
        scores = getattr(result, "sequences_scores", None)
        never = [False] * len(ended) if scores is None else (scores < -1e8).tolist()
        return [[] if is_never else row for row, is_never in zip(ended, never, strict=True)]


def _until_end(row: list[int], eos: list[int]) -> list[int]:
    ends = [place for place, token in enumerate(row) if place and token in eos]
    return row[: ends[0] + 1] if ends else row


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pair]]:
    """`pair("bart", seed=1)`, each exported once."""
    made: dict[tuple[str, int], Pair] = {}

    def make(family: str, seed: int = 0) -> Pair:
        if (family, seed) not in made:
            made[family, seed] = _pair(tmp_path_factory.mktemp(family), family, seed)
        return made[family, seed]

    with one_thread():
        yield make


def _load(folder: Path) -> Any:
    return load_model(AutoModelForSeq2SeqLM, folder, attn_implementation="eager")


def _pair(folder: Path, family: str, seed: int) -> Pair:
    random_model(family, VOCABULARY, seed=seed).save_pretrained(folder)
    exported = _load(folder)
    export_encoder(exported, folder / "encoder.onnx")
    export_decoder(exported, folder / "decoder.onnx")
    theirs = _load(folder)
    return Pair(EncoderDecoder(folder, theirs.config.pad_token_id), theirs, _load(folder).double())
