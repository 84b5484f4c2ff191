"""Writing `serving.json` and `tokenizer.json`: all that serving needs to know of config and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..plan import NotPrepared, Plan

_NO_LIMIT = 1_000_000
"""transformers writes 10**30 where a tokenizer has no maximum."""
_RELATIVE = ("deberta-v2", "modernbert")
"""Families whose positions have no table that could end."""
_OFFSET = ("camembert", "mpnet", "roberta", "xlm-roberta")
"""Families that count positions from the padding id on."""


def write_contract(folder: Path, plan: Plan, tokenizer: Any, config: Any, inputs: Sequence[str]) -> None:
    """Write both files of an encoder into `folder`.

    The tokenizer is written as transformers runs it: it changes what the snapshot's tokenizer.json says.
    Raises NotPrepared where it has no fast version.
    """
    write_tokenizer(folder, tokenizer)
    document = {
        "head": plan.head,
        "model_type": config.model_type,
        "inputs": [name for name in inputs if name != "positions"],
        "max_length": tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else None,
        "positions": _positions(config),
        "tokenizer": special_tokens(tokenizer),
        "labels": [config.id2label[index] for index in range(config.num_labels)],
        "problem_type": config.problem_type,
        "entailment_id": _entailment_id(config),
    }
    (folder / "serving.json").write_text(json.dumps(document, ensure_ascii=False, indent=1))


def write_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write `tokenizer.json`, without the truncation and padding that an earlier use may have left."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise NotPrepared(
            f"{type(tokenizer).__name__} has no fast version: its texts cannot be split the same way"
        )
    backend.no_truncation()
    backend.no_padding()
    (folder / "tokenizer.json").write_text(backend.to_str())


def special_tokens(tokenizer: Any) -> dict[str, Any]:
    names = ("pad", "mask", "cls", "sep", "unk", "bos", "eos")
    return {
        **{f"{name}_id": getattr(tokenizer, f"{name}_token_id", None) for name in names},
        "mask_token": getattr(tokenizer, "mask_token", None),
        "special_ids": sorted(set(tokenizer.all_special_ids)),
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "cleanup": _cleans_up(tokenizer),
    }


def _cleans_up(tokenizer: Any) -> bool:
    """transformers ignores the setting for byte-pair vocabularies, whose spaces are part of the tokens."""
    if type(tokenizer.backend_tokenizer.model).__name__ == "BPE":
        forced = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
        return bool(tokenizer.clean_up_tokenization_spaces and getattr(tokenizer, forced, False))
    return bool(tokenizer.clean_up_tokenization_spaces)


def _positions(config: Any) -> int | None:
    if config.model_type in _RELATIVE:
        return None
    positions: int = config.max_position_embeddings
    return positions - config.pad_token_id - 1 if config.model_type in _OFFSET else positions


def _entailment_id(config: Any) -> int:
    """As transformers finds it: the first label that starts with "entail", else the last output."""
    found = (index for label, index in config.label2id.items() if label.lower().startswith("entail"))
    return next(found, -1)
