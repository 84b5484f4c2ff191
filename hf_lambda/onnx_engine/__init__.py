"""Answering from a prepared folder with onnxruntime, tokenizers and numpy: no torch, no transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..background import Future
from ..errors import UntrainedHead
from ..tasks import base_of
from .contract import DecoderContract, EncoderContract, Seq2SeqContract, read_contract
from .session import Prefetch
from .sound.contract import SoundContract
from .tokenizer import load_tokenizer
from .vision.contract import ImageToTextContract, VisionContract

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..engines import Engine
    from .encoder import Encoder


def load(task: str, prepared: Path, *, max_context: int | None = None) -> Engine:
    """Load the folder `prepared` for `task`. max_context: tokens that a language model holds.

    The weights are on their way before anything heavy is imported: reading them is most of a cold start
    on a network disk, and it needs no Python.
    """
    contract = read_contract(prepared)
    Prefetch(prepared, contract.prefetch)
    if isinstance(contract, Seq2SeqContract):
        from . import seq2seq

        return seq2seq.load(task, contract, prepared)
    if isinstance(contract, DecoderContract):
        from .decoder import text_generation

        return text_generation.load(contract, prepared, max_context=max_context)
    if isinstance(contract, VisionContract):
        from .vision.loading import load as load_vision

        return load_vision(task, contract, prepared)
    if isinstance(contract, SoundContract):
        from .sound.loading import load as load_sound

        return load_sound(contract, prepared)
    if isinstance(contract, ImageToTextContract):
        from .vision.image_to_text import load as load_image_to_text

        return load_image_to_text(contract, prepared)
    return _load_encoder(task, contract, prepared)


def open_encoder(
    contract: EncoderContract, prepared: Path, tokenizer: Future[Tokenizer] | None = None
) -> Encoder:
    """The encoder of the folder `prepared`, of the kind that `contract` is of. tokenizer: see Encoder."""
    if contract.is_causal:
        from .decoder.encoder import CausalEncoder, CausalJudge

        kind = CausalJudge if contract.ranking else CausalEncoder
        return kind(contract, prepared, tokenizer)
    from .encoder import Encoder

    return Encoder(contract, prepared, tokenizer)


def _load_encoder(task: str, contract: EncoderContract, prepared: Path) -> Engine:
    name = base_of(task)
    if contract.ranking and contract.ranking.judge and name != "text-ranking":
        raise UntrainedHead(f"the repository has no head for {name}: it is a language model that ranks")
    encoder = open_encoder(contract, prepared, Future(lambda: load_tokenizer(prepared)).start())
    if name == "text-classification":
        from .text_classification import TextClassification

        return TextClassification(encoder)
    if name == "zero-shot-classification":
        from .zero_shot import ZeroShotClassification

        return ZeroShotClassification(encoder)
    if name == "text-ranking":
        from .text_ranking import TextRanking

        return TextRanking(encoder)
    if name == "token-classification":
        from .token_classification import TokenClassification

        return TokenClassification(encoder)
    if name == "question-answering":
        from .question_answering import QuestionAnswering

        return QuestionAnswering(encoder)
    if name == "fill-mask":
        from .fill_mask import FillMask

        return FillMask(encoder)
    from ..sentence_embedding import read_weights
    from .feature_extraction import FeatureExtraction

    return FeatureExtraction(encoder, read_weights(contract.embedding, prepared))
