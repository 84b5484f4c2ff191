"""Summarization, translation and text2text-generation without torch, as transformers 4 had them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, Unprocessable
from ..parameters import parameters_of
from ..tasks import base_of, languages
from .contract import Seq2SeqContract
from .generation.options import InvalidOptionError, Options, UnsupportedOptionError, resolve
from .later import Later, load_tokenizer
from .parameters import merged
from .seq2seq_text import Text

if TYPE_CHECKING:
    from .generation.model import Model

_KEYS = {
    "summarization": "summary_text",
    "translation": "translation_text",
    "text2text-generation": "generated_text",
}
_NOT_GENERATION = ("truncation", "clean_up_tokenization_spaces", "src_lang", "tgt_lang")
NEW_TOKENS = 256
"""Where neither model nor request limits the answer, as in `torch_engine.seq2seq`."""


def load(task: str, contract: Seq2SeqContract, prepared: Path, **options: Any) -> Seq2Seq:
    """Load the folder `prepared` for `task`; `options` are defaults of the call's parameters."""
    tokenizer = Later(load_tokenizer, prepared)
    from .generation.model import Model

    model = Model(prepared, contract.pad_id)
    text = Text(tokenizer.get(), contract)
    return Seq2Seq(task, contract, text, model, options)


class Seq2Seq:
    def __init__(
        self, task: str, contract: Seq2SeqContract, text: Text, model: Model, options: Mapping[str, Any]
    ) -> None:
        self._task, self._key, self._options = task, _KEYS[base_of(task)], dict(options)
        self._contract, self._text, self._model = contract, text, model
        self._prefix, self._shipped = contract.prefix_of(task), contract.options_of(task)

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        """Per text a dict, or with `num_return_sequences` above 1 a list of them."""
        chosen = merged(self._options, parameters, parameters_of(self._task))
        source, target = self._languages(chosen)
        options = self._generation(chosen, target)
        most = self._limit() if chosen.get("truncation") not in (None, False, "do_not_truncate") else None
        sources = self._text.encode([self._prefix + text for text in inputs], language=source, most=most)
        self._check(sources)
        cleanup = bool(chosen.get("clean_up_tokenization_spaces", False))
        results = []
        for sequences in self._model.generate(sources, options):
            records = [{self._key: self._text.decode(ids, cleanup=cleanup)} for ids in sequences]
            results.append(records[0] if len(records) == 1 else records)
        return results

    def _languages(self, chosen: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Codes of source and target; None for a model that has no languages. Raises BadRequest."""
        known = self._text.languages
        if base_of(self._task) != "translation" or not known:
            return None, None
        default = languages(self._task) or (None, None)
        codes = []
        for name, fallback in zip(("src_lang", "tgt_lang"), default, strict=True):
            code = chosen.get(name) or fallback
            if code not in known:
                shown = ", ".join(list(known)[:8])
                raise BadRequest(name, f"one of the model's {len(known)} languages: {shown}, ...", repr(code))
            codes.append(code)
        return codes[0], codes[1]

    def _generation(self, chosen: Mapping[str, Any], target: str | None) -> Options:
        request = {name: value for name, value in chosen.items() if name not in _NOT_GENERATION}
        shipped = dict(self._shipped)
        if request.get("max_length") is not None and request.get("max_new_tokens") is None:
            shipped.pop("max_new_tokens", None)  # else the model's own would win over the caller's max_length
        elif all((shipped | request).get(name) is None for name in ("max_length", "max_new_tokens")):
            request["max_new_tokens"] = min(NEW_TOKENS, self._contract.max_position or NEW_TOKENS)
        if target is not None:
            request["forced_bos_token_id"] = self._text.languages[target].forced_bos
        try:
            vocabulary = self._contract.vocabulary
            return resolve(shipped, request, positions=self._contract.max_position, vocabulary=vocabulary)
        except InvalidOptionError as error:
            raise BadRequest(error.name, error.expected, repr(error.value)) from error
        except UnsupportedOptionError as error:
            raise BadRequest(
                error.name, "an option of greedy, beam search or sampling", repr(error.value)
            ) from error

    def _limit(self) -> int | None:
        """Tokens to truncate to; None where neither tokenizer nor model has a limit."""
        known = (self._contract.max_length, self._contract.max_position)
        return min((limit for limit in known if limit), default=None)

    def _check(self, sources: list[list[int]]) -> None:
        most, longest = self._contract.max_position, max((len(source) for source in sources), default=0)
        if most is not None and longest > most:
            remedy = "shorten it, or ask for truncation"
            raise Unprocessable(
                None, f"the text has {longest} tokens, the model takes at most {most}: {remedy}"
            )
