"""token-classification: a label for every token, or entities of several tokens."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from ..errors import BadRequest
from ..parameters import parameters_of
from .encoder import Encoder
from .entities import STRATEGIES, Token, entities, without_overlaps
from .parameters import merged
from .scores import softmax

_PARAMETERS = parameters_of("token-classification")


class TokenClassification:
    """Entities as transformers' `TokenClassificationPipeline` gives them."""

    def __init__(self, encoder: Encoder, options: Mapping[str, Any]) -> None:
        self._encoder, self._options = encoder, options
        prefix = getattr(encoder.tokenizer.model, "continuing_subword_prefix", None)
        self._knows_words = bool(prefix)

    def __call__(self, inputs: list[Any], **parameters: Any) -> list[Any]:
        """Per text a list of entities. A long text is cut; with `stride` it is read in windows."""
        chosen = merged(self._options, parameters, _PARAMETERS)
        strategy = _strategy(chosen)
        split = bool(chosen.get("is_split_into_words"))
        delimiter = chosen.get("delimiter") or " "
        limit = self._encoder.limit(True, None)
        encodings = self._encoder.encode(
            inputs, max_length=limit, stride=self._stride(chosen, strategy, limit), pretokenized=split
        )
        windows = [(text, piece) for text, whole in enumerate(encodings) for piece in _pieces(whole, chosen)]
        answers: list[list[list[dict[str, Any]]]] = [[] for _ in inputs]
        logits: list[Any] = [None] * len(windows)
        for index, (rows,) in self._encoder.run([piece for _, piece in windows], ["logits"]):
            logits[index] = rows
        ignored = chosen["ignore_labels"] if chosen.get("ignore_labels") is not None else ["O"]
        for (text, piece), rows in zip(windows, logits, strict=True):
            sentence = delimiter.join(inputs[text]) if split else inputs[text]
            starts = _word_starts(inputs[text], delimiter) if split else None
            tokens = self._tokens(sentence, piece, softmax(rows[: len(piece.ids)]), starts)
            found = entities(tokens, strategy, self._encoder.contract.labels, self._encoder.joined)
            answers[text].append(
                [entry for entry in found if entry.get("entity", entry.get("entity_group")) not in ignored]
            )
        return [
            pieces[0] if len(pieces) == 1 else without_overlaps([*chain.from_iterable(pieces)])
            for pieces in answers
        ]

    def _stride(self, chosen: Mapping[str, Any], strategy: str, limit: int | None) -> int:
        stride = chosen.get("stride")
        if stride is None:
            return 0
        if strategy == "none":
            raise BadRequest("stride", "an aggregation_strategy with it, for instance simple", "none")
        most = None if limit is None else limit - self._encoder.tokenizer.num_special_tokens_to_add(False)
        if most is not None and stride >= most:
            raise BadRequest("stride", f"less than {most}, what the model reads at once", str(stride))
        return int(stride)

    def _tokens(
        self, sentence: str, encoding: Any, scores: Any, word_starts: list[int] | None
    ) -> list[Token]:
        """The tokens of the text itself, with probabilities and characters."""
        tokens = []
        unknown = self._encoder.contract.tokenizer.unk_id
        for index, special in enumerate(encoding.special_tokens_mask):
            if special:
                continue
            start, end = encoding.offsets[index]
            if word_starts is not None and encoding.word_ids[index] is not None:
                shift = word_starts[encoding.word_ids[index]]
                start, end = start + shift, end + shift
            word, text = encoding.tokens[index], sentence[start:end]
            if self._knows_words:
                continues = len(word) != len(text)
            else:  # all that is left to tell by: no space before it
                continues = start > 0 and " " not in sentence[start - 1 : start + 1]
            if encoding.ids[index] == unknown:
                word, continues = text, False
            tokens.append(Token(word, scores[index], start, end, index, continues))
        return tokens


def _strategy(chosen: Mapping[str, Any]) -> str:
    strategy = str(chosen.get("aggregation_strategy") or "none").lower()
    if strategy not in STRATEGIES:
        raise BadRequest("aggregation_strategy", ", ".join(STRATEGIES), repr(strategy))
    return strategy


def _pieces(encoding: Any, chosen: Mapping[str, Any]) -> list[Any]:
    """The windows of a long text; its first alone where no stride is asked for."""
    return [encoding, *encoding.overflowing] if chosen.get("stride") is not None else [encoding]


def _word_starts(words: list[str], delimiter: str) -> list[int]:
    """Where each word begins in the words joined by `delimiter`."""
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word) + len(delimiter)
    return starts
