"""Answering from a prepared folder with onnxruntime, tokenizers and numpy: no torch, no transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..tasks import base_of
from .contract import DecoderContract, EncoderContract, Seq2SeqContract, read_contract
from .later import Later, load_tokenizer
from .session import Prefetch

Engine = Callable[..., list[Any]]
"""Takes a list of inputs and keyword parameters, returns a list with one result per input."""


def load(task: str, prepared: Path, snapshot: Path, **options: Any) -> Engine:
    """Load the folder `prepared` for `task`; `options` are defaults of the call's parameters.

    The weights are on their way before anything heavy is imported: reading them is most of a cold start
    on a network disk, and it needs no Python.
    """
    contract = read_contract(prepared)
    Prefetch(prepared, contract.prefetch)
    if isinstance(contract, Seq2SeqContract):
        from . import seq2seq

        engine: Engine = seq2seq.load(task, contract, prepared, **options)
        return engine
    if isinstance(contract, DecoderContract):
        from .decoder import text_generation

        return text_generation.load(task, prepared, snapshot, **options)
    return _load_encoder(task, contract, prepared, options)


def _load_encoder(task: str, contract: EncoderContract, prepared: Path, options: dict[str, Any]) -> Engine:
    tokenizer = Later(load_tokenizer, prepared)
    from .encoder import Encoder

    encoder = Encoder(contract, prepared, tokenizer)
    name = base_of(task)
    if name == "text-classification":
        from .text_classification import TextClassification

        return TextClassification(encoder, options)
    if name == "zero-shot-classification":
        from .zero_shot import ZeroShotClassification

        return ZeroShotClassification(encoder, options)
    if name == "token-classification":
        from .token_classification import TokenClassification

        return TokenClassification(encoder, options)
    if name == "question-answering":
        from .question_answering import QuestionAnswering

        return QuestionAnswering(encoder, options)
    if name == "fill-mask":
        from .fill_mask import FillMask

        return FillMask(encoder, options)
    from .feature_extraction import FeatureExtraction

    return FeatureExtraction(encoder, options)
