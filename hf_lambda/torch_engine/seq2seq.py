"""Summarization, translation and text2text-generation, as transformers 4 had them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedTokenizerBase

from ..errors import BadRequest
from ..limits import run_batches
from ..parameters import NEW_TOKENS, language_pair, truncates
from ..records import Json
from ..tasks import ANSWER_KEYS, base_of
from .generation import length_options
from .loading import (
    MAX_PADDED_TOKENS,
    check_length,
    encoded_to,
    heads_of,
    load_model,
    load_tokenizer,
    max_length,
    max_position,
)


class Seq2Seq:
    def __init__(self, task: str, snapshot: Path) -> None:
        self._task, self._key = task, ANSWER_KEYS[base_of(task)]
        self._is_translation = base_of(task) == "translation"
        self._model = load_model(transformers.AutoModelForSeq2SeqLM, snapshot)
        self._tokenizer = load_tokenizer(snapshot)
        specific = dict((getattr(self._model.config, "task_specific_params", None) or {}).get(task) or {})
        self._prefix = specific.pop("prefix", None) or getattr(self._model.config, "prefix", None) or ""
        self._model.generation_config.update(**specific)
        self._max_position = max_position(self._model.get_encoder())
        self._most_new = max_position(self._model.get_decoder())

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text a dict, or with `num_return_sequences` above 1 a list of them."""
        if (seed := parameters.get("seed")) is not None:
            torch.manual_seed(seed)
        encoded = self._encode([self._prefix + text for text in inputs], parameters)
        forced = encoded.pop("forced_bos_token_id", None)
        encoded.pop("token_type_ids", None)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        remedy = "shorten it, or ask for truncation"
        check_length(lengths, self._max_position, remedy=remedy, heads=heads_of(self._model))
        rows = [{name: encoded[name][row] for name in encoded} for row in range(len(inputs))]
        options = length_options(self._model, parameters, self._most_new)
        if forced is not None:
            options["forced_bos_token_id"] = forced
        held = [length + self._written(options) for length in lengths]
        return run_batches(rows, held, lambda group: self._run(group, options, parameters), MAX_PADDED_TOKENS)

    def _encode(self, texts: list[str], parameters: Mapping[str, Json]) -> dict[str, Json]:
        most = max_length(self._tokenizer, self._model.get_encoder()) if truncates(parameters) else None
        build = getattr(self._tokenizer, "_build_translation_inputs", None)
        if not self._is_translation or build is None:
            return dict(encoded_to(most, lambda **cut: self._tokenizer(texts, verbose=False, **cut)))
        source, target = language_pair(self._task, parameters, language_codes(self._tokenizer))
        languages = {"src_lang": source, "tgt_lang": target, "return_tensors": None, "verbose": False}
        return dict(encoded_to(most, lambda **cut: build(texts, **languages, **cut)))

    def _written(self, options: Mapping[str, Json]) -> int:
        """Tokens that one input may become, over all its sequences."""
        shipped = self._model.generation_config
        asked = options.get("max_new_tokens") or options.get("max_length")
        longest = asked or shipped.max_new_tokens or shipped.max_length or NEW_TOKENS
        beams = options.get("num_beams") or shipped.num_beams or 1
        return int(longest) * max(beams, options.get("num_return_sequences") or 1)

    def _run(
        self, rows: list[dict[str, list[int]]], options: Mapping[str, Json], parameters: Mapping[str, Json]
    ) -> list[Json]:
        batch = self._tokenizer.pad(rows, return_tensors="pt")
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice on options, meant for whoever wrote the model
                ids = self._model.generate(**batch, **options)
        except ValueError as error:
            raise BadRequest(None, "generation options that go together", str(error)) from error
        cleanup = bool(parameters.get("clean_up_tokenization_spaces", False))
        texts = self._tokenizer.batch_decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=cleanup
        )
        records = [{self._key: text} for text in texts]
        per_input = len(records) // len(rows)
        if per_input == 1:
            return records
        return [records[start : start + per_input] for start in range(0, len(records), per_input)]


def language_codes(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Codes of the languages that a multilingual tokenizer knows, in its own order."""
    if codes := getattr(tokenizer, "lang_code_to_token", None):
        return list(codes)
    module = sys.modules[type(tokenizer).__module__]
    codes = [*getattr(tokenizer, "lang_code_to_id", {}), *getattr(module, "FAIRSEQ_LANGUAGE_CODES", [])]
    return [
        code
        for code in dict.fromkeys(codes)
        if tokenizer.convert_tokens_to_ids(code) != tokenizer.unk_token_id
    ]
