"""Writing `serving.json` and `tokenizer.json` of an encoder-decoder model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_lambda.onnx_engine.generation.options import InvalidOptionError, UnsupportedOptionError, resolve
from hf_lambda.onnx_engine.later import load_tokenizer
from hf_lambda.onnx_engine.seq2seq_text import Text
from hf_lambda.torch_engine.seq2seq import language_codes

from ..plan import NotPrepared, Plan
from ..samples import LONG, SENTENCES
from .tokenizer import served_tokenizer

_NO_LIMIT = 1_000_000
"""transformers writes 10**30 where a tokenizer has no maximum."""
_UNBOUNDED = ("mt5", "t5")
"""Families with relative positions."""


def write_contract(folder: Path, plan: Plan, tokenizer: Any, model: Any) -> None:
    """Raises NotPrepared where the model's generation options or its tokenizer would come out otherwise."""
    served, size = served_tokenizer(tokenizer)
    (folder / "tokenizer.json").write_text(served.to_str())
    config = model.config
    specific = {
        task: dict(given) for task, given in (getattr(config, "task_specific_params", None) or {}).items()
    }
    positions = None if config.model_type in _UNBOUNDED else config.max_position_embeddings
    generation = {
        name: value for name, value in model.generation_config.to_dict().items() if value is not None
    }
    _check_options(plan, {**generation, **_options(specific.get(plan.task, {}))}, positions)
    document = {
        "head": plan.head,
        "model_type": config.model_type,
        "max_length": tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else None,
        "positions": positions,
        "vocabulary": model.get_output_embeddings().out_features,
        "tokenizer": {
            "pad_id": tokenizer.pad_token_id,
            "unk_id": tokenizer.unk_token_id,
            "truncation_side": tokenizer.truncation_side,
        },
        "generation": generation,
        "task_specific": specific,
        "prefix": getattr(config, "prefix", None) or "",
        "text": _rules(tokenizer, size),
    }
    (folder / "serving.json").write_text(json.dumps(document, ensure_ascii=False))
    own = [sample for sample in plan.samples or [] if isinstance(sample, str)]
    _check_tokenizer(folder, document, tokenizer, own)


def _options(specific: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in specific.items() if name != "prefix"}


def _check_options(plan: Plan, shipped: Mapping[str, Any], positions: int | None) -> None:
    try:
        resolve(shipped, {}, positions=positions)
    except (UnsupportedOptionError, InvalidOptionError) as error:
        raise NotPrepared(f"{plan.model} ships what the decoding loop does not do: {error}") from error


def _rules(tokenizer: Any, size: int | None) -> dict[str, Any]:
    """The `text` section: what `hf_lambda.onnx_engine.seq2seq_text.Text` goes by."""
    is_rebuilt = size is not None
    is_marian = is_rebuilt and hasattr(tokenizer, "supported_language_codes")
    has_cleanup = is_rebuilt or type(tokenizer.backend_tokenizer.model).__name__ != "BPE"
    rules: dict[str, Any] = {
        "default": _around(list(tokenizer(SENTENCES[0])["input_ids"]), tokenizer),
        "size": size,
        "surface": is_marian,
        "leading_code": is_marian,
        "can_clean_up": has_cleanup,
    }
    if build := getattr(tokenizer, "_build_translation_inputs", None):
        languages, own = {}, tokenizer.src_lang
        for code in language_codes(tokenizer):
            built = build([SENTENCES[0]], src_lang=code, tgt_lang=code, return_tensors=None)
            around = _around(list(built["input_ids"][0]), tokenizer)
            languages[code] = {**around, "forced_bos": int(built["forced_bos_token_id"])}
        rules["languages"] = languages
        tokenizer.src_lang = own  # what a text that is not translated gets
    return rules


def _around(ids: list[int], tokenizer: Any) -> dict[str, list[int]]:
    """The special tokens before and after the text in `ids`, that of the first sample."""
    content = list(tokenizer(SENTENCES[0], add_special_tokens=False)["input_ids"])
    for start in range(len(ids) - len(content) + 1):
        if ids[start : start + len(content)] == content:
            return {"prefix": ids[:start], "suffix": ids[start + len(content) :]}
    raise NotPrepared(f"{type(tokenizer).__name__} changes a text that it puts special tokens around")


def _check_tokenizer(folder: Path, document: Mapping[str, Any], tokenizer: Any, own: list[str]) -> None:
    """The served tokenizer must split, and put together again, every sample as transformers' does.

    own: the user's samples, beside those that are built in.
    """
    text = Text(load_tokenizer(folder), document["text"], document["tokenizer"])
    samples = [*SENTENCES, LONG, "", " two  spaces ", "a\n\nb", ">>fr<< Hello.", *own]
    name = type(tokenizer).__name__
    expected = [list(tokenizer(sample)["input_ids"]) for sample in samples]
    for sample, ids, wanted in zip(samples, text.encode(samples), expected, strict=True):
        if ids != wanted:
            raise NotPrepared(f"the served tokenizer splits {sample[:40]!r} otherwise than {name}")
        if text.decode(ids) != tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        ):
            raise NotPrepared(f"the served tokenizer puts {sample[:40]!r} together otherwise than {name}")
