"""Summarization, translation and text2text-generation without torch, as transformers 4 had them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..background import Future
from ..errors import Unprocessable
from ..limits import check_attention
from ..parameters import language_pair, truncates
from ..records import Json
from ..tasks import ANSWER_KEYS, base_of
from .contract import Seq2SeqContract
from .generation.asked import asked_options
from .generation.options import Options
from .seq2seq_tokenizer import Seq2SeqTokenizer
from .tokenizer import load_tokenizer

if TYPE_CHECKING:
    from .generation.encoder_decoder import EncoderDecoder


def load(task: str, contract: Seq2SeqContract, prepared: Path) -> Seq2Seq:
    """The engine over the folder `prepared`; its decoder goes on loading when this returns."""
    tokenizer = Future(lambda: load_tokenizer(prepared)).start()
    from .generation.encoder_decoder import EncoderDecoder

    model = EncoderDecoder(prepared, contract.pad_id)
    return Seq2Seq(task, contract, Seq2SeqTokenizer(tokenizer.result(), contract), model)


class Seq2Seq:
    """Texts from texts as transformers 4's pipelines gave them."""

    def __init__(
        self, task: str, contract: Seq2SeqContract, tokenizer: Seq2SeqTokenizer, model: EncoderDecoder
    ) -> None:
        self._task, self._key = task, ANSWER_KEYS[base_of(task)]
        self._contract, self._tokenizer, self._model = contract, tokenizer, model
        self._prefix, self._shipped = contract.prefix_of(task), contract.options_of(task)

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text a dict, or with `num_return_sequences` above 1 a list of them."""
        source, target = self._languages(parameters)
        options = self._generation(parameters, target)
        is_cut = truncates(parameters)
        sources = self._tokenizer.encode(
            [self._prefix + text for text in inputs], language=source, most=self._limit() if is_cut else None
        )
        self._check(sources)
        cleanup = bool(parameters.get("clean_up_tokenization_spaces", False))
        results = []
        for sequences in self._model.generate(sources, options):
            records = [{self._key: self._tokenizer.decode(ids, cleanup=cleanup)} for ids in sequences]
            results.append(records[0] if len(records) == 1 else records)
        return results

    def _languages(self, parameters: Mapping[str, Json]) -> tuple[str | None, str | None]:
        """Codes of source and target; None for a model that has no languages. Raises BadRequest."""
        known = self._tokenizer.languages
        if base_of(self._task) != "translation" or not known:
            return None, None
        return language_pair(self._task, parameters, known)

    def _generation(self, parameters: Mapping[str, Json], target: str | None) -> Options:
        forced = None if target is None else self._tokenizer.languages[target].forced_bos
        return asked_options(
            parameters,
            self._shipped,
            max_position=self._contract.max_position,
            vocabulary=self._contract.vocabulary,
            forced_bos=forced,
        )

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
        check_attention(longest, None)
