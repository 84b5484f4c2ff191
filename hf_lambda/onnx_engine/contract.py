"""`serving.json`: what serving needs of a model's config and tokenizer. Written by the warm-up, read here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..ranking import RankingRules
from ..records import Json
from ..sentence_embedding import EmbeddingRules
from .sound.contract import SoundContract
from .vision.contract import ImageToTextContract, VisionContract

FILE = "serving.json"
MASK_INDEX_INPUT = "positions"
"""Input of a masked language model's graph: where in each text the masks are."""


@dataclass(frozen=True)
class SpecialTokens:
    """The tokenizer's special tokens and how it pads and cuts, as transformers has them."""

    pad_id: int | None = None
    mask_id: int | None = None
    cls_id: int | None = None
    sep_id: int | None = None
    unk_id: int | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    mask_token: str | None = None
    special_ids: tuple[int, ...] = ()
    padding_side: str = "right"
    truncation_side: str = "right"
    cleanup: bool = False
    """Whether decoded text loses the spaces before punctuation."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> SpecialTokens:
        return cls(**{**_known(cls, document), "special_ids": tuple(document.get("special_ids", ()))})

    def to_json(self) -> dict[str, Json]:
        return {**vars(self), "special_ids": list(self.special_ids)}


@dataclass(frozen=True)
class EncoderContract:
    """A model whose one graph reads tokens and gives logits or hidden states."""

    head: str
    model_type: str
    inputs: tuple[str, ...]
    """Inputs of the graph, of input_ids, attention_mask, token_type_ids."""
    max_length: int | None = None
    """Tokens to truncate to (the tokenizer's `model_max_length`); None: it says nothing."""
    max_position: int | None = None
    """Tokens that the model can take at all; None: any number."""
    tokenizer: SpecialTokens = SpecialTokens()
    labels: tuple[str, ...] = ()
    """Label of every output, by index."""
    problem_type: str | None = None
    entailment_id: int = -1
    embedding: EmbeddingRules | None = None
    """Of feature-extraction: what sentence-transformers makes of the repository."""
    embedding_problem: str | None = None
    """Why that is not done here, where it is not; `embedding` then has at most the rules for texts."""
    ranking: RankingRules | None = None
    """Of a sequence classifier with one output: what CrossEncoder of sentence-transformers makes of it."""
    ranking_problem: str | None = None
    """Why it ranks nothing, where it does not."""
    is_causal: bool = False
    """Whether the graph is a language model's without its head, which keeps what it has read."""
    cache_bytes: int = 0
    """What keys and values of one token then take, of all layers."""
    prefetch: Mapping[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads; the embedding rows come after them."""

    @classmethod
    def read(cls, prepared: Path) -> EncoderContract:
        return cls.from_json(_read(prepared))

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> EncoderContract:
        rules, ranking = document.get("embedding"), document.get("ranking")
        return cls(
            **{
                **_known(cls, document),
                "inputs": tuple(document["inputs"]),
                "max_position": document.get("positions"),
                "tokenizer": SpecialTokens.from_json(document["tokenizer"]),
                "labels": tuple(document.get("labels", ())),
                "embedding": EmbeddingRules.from_json(rules) if rules else None,
                "ranking": RankingRules.from_json(ranking) if ranking else None,
            }
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "head": self.head,
            "model_type": self.model_type,
            "inputs": list(self.inputs),
            "max_length": self.max_length,
            "positions": self.max_position,
            "tokenizer": self.tokenizer.to_json(),
            "labels": list(self.labels),
            "problem_type": self.problem_type,
            "entailment_id": self.entailment_id,
            **({"embedding": self.embedding.to_json()} if self.embedding else {}),
            **({"embedding_problem": self.embedding_problem} if self.embedding_problem else {}),
            **({"ranking": self.ranking.to_json()} if self.ranking else {}),
            **({"ranking_problem": self.ranking_problem} if self.ranking_problem else {}),
            **({"is_causal": True, "cache_bytes": self.cache_bytes} if self.is_causal else {}),
            "prefetch": dict(self.prefetch),
        }


@dataclass(frozen=True)
class SurroundingTokens:
    """Special tokens before and after a text; forced_bos: the first token of a translation into it."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    forced_bos: int | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> SurroundingTokens:
        return cls(tuple(document["prefix"]), tuple(document["suffix"]), document.get("forced_bos"))

    def to_json(self) -> dict[str, Json]:
        document: dict[str, Json] = {"prefix": list(self.prefix), "suffix": list(self.suffix)}
        return document if self.forced_bos is None else {**document, "forced_bos": self.forced_bos}


@dataclass(frozen=True)
class TextRules:
    """How an encoder-decoder's text becomes ids and ids become text again, beside `tokenizer.json`."""

    default: SurroundingTokens
    size: int | None = None
    """Ids from there on mean "unknown"; None: all ids are the model's."""
    surface: bool = False
    """Unknown pieces are looked up among the hidden ones."""
    leading_code: bool = False
    """A text may begin with ">>fr<<"."""
    can_clean_up: bool = True
    languages: Mapping[str, SurroundingTokens] = field(default_factory=dict)
    """By language code; empty for a model that has no languages."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> TextRules:
        languages = document.get("languages") or {}
        return cls(
            **{
                **_known(cls, document),
                "default": SurroundingTokens.from_json(document["default"]),
                "languages": {code: SurroundingTokens.from_json(each) for code, each in languages.items()},
            }
        )

    def to_json(self) -> dict[str, Json]:
        languages = {code: tokens.to_json() for code, tokens in self.languages.items()}
        return {**vars(self), "default": self.default.to_json(), "languages": languages}


@dataclass(frozen=True)
class Seq2SeqContract:
    """A model of an encoder's graph and a decoder's, which writes text token by token."""

    head: str
    model_type: str
    max_length: int | None
    """Tokens to truncate a source to (the tokenizer's `model_max_length`); None: it says nothing."""
    max_position: int | None
    """Tokens that encoder and decoder can take at all; None: any number."""
    vocabulary: int
    pad_id: int
    unk_id: int | None
    truncation_side: str
    generation: Mapping[str, Json]
    """The model's own generation options, as transformers names them."""
    task_specific: Mapping[str, Mapping[str, Json]]
    """Task -> the options (and a `prefix`) that the model ships for it."""
    prefix: str
    text: TextRules
    prefetch: Mapping[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads; the embedding rows come after them."""

    @classmethod
    def read(cls, prepared: Path) -> Seq2SeqContract:
        return cls.from_json(_read(prepared))

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Seq2SeqContract:
        tokenizer = document["tokenizer"]
        return cls(
            **{
                **_known(cls, document),
                "max_position": document["positions"],
                "pad_id": tokenizer["pad_id"],
                "unk_id": tokenizer["unk_id"],
                "truncation_side": tokenizer.get("truncation_side", "right"),
                "text": TextRules.from_json(document["text"]),
            }
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "head": self.head,
            "model_type": self.model_type,
            "max_length": self.max_length,
            "positions": self.max_position,
            "vocabulary": self.vocabulary,
            "tokenizer": {
                "pad_id": self.pad_id,
                "unk_id": self.unk_id,
                "truncation_side": self.truncation_side,
            },
            "generation": dict(self.generation),
            "task_specific": {task: dict(options) for task, options in self.task_specific.items()},
            "prefix": self.prefix,
            "text": self.text.to_json(),
            "prefetch": dict(self.prefetch),
        }

    def options_of(self, task: str) -> dict[str, Json]:
        """The generation options that the model ships for `task`."""
        specific = self.task_specific.get(task) or {}
        return {**self.generation, **{name: value for name, value in specific.items() if name != "prefix"}}

    def prefix_of(self, task: str) -> str:
        """What the model was trained to read before a text of `task`."""
        return (self.task_specific.get(task) or {}).get("prefix") or self.prefix


@dataclass(frozen=True)
class DecoderContract:
    """A language model: one graph that goes on with a text token by token."""

    head: str
    model_type: str
    max_position: int
    """Tokens of prompt and answer that the model can take."""
    vocabulary: int
    bos_id: int | None
    pad_id: int | None
    generation: Mapping[str, Json]
    """The model's own generation options, as transformers names them."""
    chat_template: str | Mapping[str, str] | None
    """One, or several by name."""
    special_tokens: Mapping[str, Json]
    """By the names that chat templates use."""
    cache_bytes: int = 0
    """What keys and values of one token take, of all layers."""
    prefetch: Mapping[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads; the embedding rows come after them."""

    @classmethod
    def read(cls, prepared: Path) -> DecoderContract:
        return cls.from_json(_read(prepared))

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> DecoderContract:
        tokenizer = document["tokenizer"]
        return cls(
            **{
                **_known(cls, document),
                "max_position": document["positions"],
                "bos_id": tokenizer["bos_id"],
                "pad_id": tokenizer["pad_id"],
            }
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "head": self.head,
            "model_type": self.model_type,
            "positions": self.max_position,
            "vocabulary": self.vocabulary,
            "tokenizer": {"bos_id": self.bos_id, "pad_id": self.pad_id},
            "generation": dict(self.generation),
            "chat_template": self.chat_template,
            "special_tokens": dict(self.special_tokens),
            "cache_bytes": self.cache_bytes,
            "prefetch": dict(self.prefetch),
        }


Contract = (
    EncoderContract | Seq2SeqContract | DecoderContract | VisionContract | SoundContract | ImageToTextContract
)
VISION = (
    "image-classification",
    "image-feature-extraction",
    "object-detection",
    "image-segmentation",
    "depth-estimation",
    "zero-shot-image-classification",
)
"""Heads of models of images."""
SOUND = ("audio-classification", "automatic-speech-recognition")
"""Heads of models of sound."""
_KINDS: dict[str, type[Contract]] = {
    "seq2seq-lm": Seq2SeqContract,
    "causal-lm": DecoderContract,
    "image-to-text": ImageToTextContract,
    **dict.fromkeys(VISION, VisionContract),
    **dict.fromkeys(SOUND, SoundContract),
}


def read_contract(prepared: Path) -> Contract:
    """The contract of a prepared folder, of the kind that its head has."""
    document = _read(prepared)
    return _KINDS.get(document["head"], EncoderContract).from_json(document)


def write_contract(contract: Contract, prepared: Path) -> None:
    (prepared / FILE).write_text(json.dumps(contract.to_json(), ensure_ascii=False, indent=1))


def _read(prepared: Path) -> dict[str, Json]:
    document: dict[str, Json] = json.loads((prepared / FILE).read_bytes())
    return document


def _known(cls: type, document: Mapping[str, Json]) -> dict[str, Json]:
    """The entries of `document` that are fields of `cls`: a folder may be of another version."""
    return {entry.name: document[entry.name] for entry in fields(cls) if entry.name in document}
