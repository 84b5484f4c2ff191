"""Tokenizers as each family's first repositories ship them: sentencepiece's own file, no tokenizer.json."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sentencepiece

from warmup.prepare.samples import LONG, SENTENCES


@dataclass(frozen=True)
class Shipped:
    """What a repository has: the file, how it was trained, and the two configs that name its tokenizer."""

    file: str
    model_type: str
    trained: dict[str, Any] = field(default_factory=dict)
    tokenizer_config: dict[str, Any] = field(default_factory=dict)


_T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
_ALBERT = {
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": -1,
    "eos_id": -1,
    "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    "user_defined_symbols": ["(", ")", '"', "-", "."],
}
_DEBERTA: dict[str, Any] = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
_DEBERTA |= {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
SHIPPED = {
    "albert": Shipped("spiece.model", "albert", _ALBERT),
    "camembert": Shipped("sentencepiece.bpe.model", "camembert"),
    "deberta-v3": Shipped("spm.model", "deberta-v2", _DEBERTA, {"do_lower_case": False, "vocab_type": "spm"}),
    "xlm-roberta": Shipped("sentencepiece.bpe.model", "xlm-roberta"),
    "t5": Shipped("spiece.model", "t5", _T5),
    "pegasus": Shipped("spiece.model", "pegasus", {**_T5, "user_defined_symbols": ["<n>"]}),
    "mbart": Shipped("sentencepiece.bpe.model", "mbart"),
    "mbart50": Shipped("sentencepiece.bpe.model", "mbart", {}, {"tokenizer_class": "MBart50Tokenizer"}),
}
"""By family; Marian and M2M100, which transformers runs on sentencepiece itself, are in `tiny_seq2seq`."""


def ship(family: str, folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Write the tokenizer of `family`, and a config that names it, into `folder`; return sentencepiece's."""
    shipped = SHIPPED[family]
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, LONG]),
        model_writer=trained,
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
        **shipped.trained,
    )
    (folder / shipped.file).write_bytes(trained.getvalue())
    settings = {"model_max_length": 64, **shipped.tokenizer_config}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": shipped.model_type}))
    return sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
