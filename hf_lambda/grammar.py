"""Holding a generation to a structure: which tokens may come next, as llguidance tells from a grammar."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .errors import BadRequest
from .records import Json
from .structure import NAMED, Structure

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON as Python writes it: where any space is allowed, a weak model writes nothing else until it is cut."""


class Grammars:
    """What makes `Held` generations of one model; its vocabulary is read when the first one needs it."""

    def __init__(self, tokenizer: Callable[[], Tokenizer], vocabulary: int, eos: Sequence[int]) -> None:
        """vocabulary: scores of a step. eos: tokens that end a text."""
        self._load, self._vocabulary, self._eos = tokenizer, vocabulary, list(eos)
        self._tokenizer: Tokenizer | None = None
        self._guide: LLTokenizer | None = None

    def hold(self, structure: Structure) -> Held:
        """A generation from its first token. Raises BadRequest where the library or the schema cannot."""
        field = "response_format" if not structure.tools else "tools"
        if importlib.util.find_spec("llguidance") is None:
            raise BadRequest(field, "llguidance in the image", "none", message=_missing(field))
        from llguidance import LLMatcher, LLTokenizer

        if self._guide is None:
            self._tokenizer = self._load()
            self._guide = LLTokenizer(
                self._tokenizer.to_str(),
                n_vocab=max(self._vocabulary, self._tokenizer.get_vocab_size()),
                eos_token=self._eos or None,
            )
        matcher = LLMatcher(self._guide, grammar_of(structure, self._special), log_level=0)
        held = Held(matcher, field)
        held.allowed(self._vocabulary)  # some schemas are found to be none at the first token
        return held

    def _special(self, mark: str) -> int | None:
        """The token that `mark` is, where llguidance does not take it for text."""
        assert self._tokenizer is not None and self._guide is not None
        token = self._tokenizer.token_to_id(mark)
        return token if token is not None and self._guide.is_special_token(token) else None


class Held:
    """One text that is being generated."""

    def __init__(self, matcher: LLMatcher, field: str) -> None:
        self._matcher, self._field = matcher, field
        self._check()

    def again(self) -> Held:
        """Another text, from the same beginning."""
        return Held(self._matcher.deep_copy(), self._field)

    def allowed(self, vocabulary: int) -> NDArray[np.bool_]:
        """Which of the first `vocabulary` tokens may come next."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        allowed: NDArray[np.bool_] = np.unpackbits(mask, bitorder="little")[:vocabulary].view(np.bool_)
        return allowed

    def restrict(self, scores: NDArray[np.float32]) -> None:
        """Forbid in `scores` (vocabulary) what may not come next."""
        allowed = self.allowed(len(scores))
        scores[~allowed] = -np.inf
        if not np.isfinite(scores.max()):  # other options forbid all that may: the structure is what counts
            scores[allowed] = 0

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    @property
    def is_whole(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if not self._matcher.is_error():
            return
        reason = self._matcher.get_error().strip().splitlines()[0]
        reason = reason.rpartition("failed to compile JSON schema: ")[2]
        if reason.startswith("NoExtension"):  # as the library says that no token is left
            reason = "one that nothing fits"
        raise BadRequest(self._field, "a JSON Schema that is supported here", reason)


def grammar_of(structure: Structure, special: Callable[[str], int | None]) -> str:
    """In llguidance's syntax. special: the token that a mark is, None where it is text."""
    if structure.form is None:
        return f"%llguidance {{}}\nstart: {_json(structure.schema)}"
    form = structure.form

    def literal(text: str) -> str:
        return _literal(text, form.marks, special)

    calls = [
        f'{json.dumps(tool.name)} {json.dumps(form.to_arguments)} {_json(tool.parameters)} "}}"'
        for tool in structure.tools
    ]
    more = f" ({literal(form.between)} one)*" if structure.is_parallel and form.between else ""
    named = f"{json.dumps(NAMED)} call {literal(form.close)}"
    lines = ["%llguidance {}", f"one: {literal(form.open)} {named}", f"call: {' | '.join(calls)}"]
    whole = f"{literal(form.begin)} one{more} {literal(form.end)}"
    if structure.must_call:
        return "\n".join([*lines, f"start: {whole}"])
    if structure.schema is not None:
        return "\n".join([*lines, f"start: said | {whole}", f"said: {_json(structure.schema)}"])
    if not form.follows_text:
        first = json.dumps(form.lead.removeprefix(next(iter(form.marks), ""))[0])[1:-1]
        text = f"TEXT: /([^\\{first}](.|\\n)*)?/"
        return "\n".join([*lines, f"start: TEXT | {whole}", text])
    text = "TEXT: /(.|\\n)*/"
    mark = form.marks[0]
    if special(mark) is not None:
        return "\n".join([*lines, f"start: TEXT | TEXT {whole}", text])
    rest = f"{literal(form.open.removeprefix(mark))} {named}"
    lines += [f"first[lazy]: TEXT {json.dumps(mark)}", f"start: TEXT | first {rest}{more}"]
    return "\n".join([*lines, text])


def _json(schema: Json) -> str:
    return "%json " + json.dumps({**schema, "x-guidance": _COMPACT})


def _literal(text: str, marks: Sequence[str], special: Callable[[str], int | None]) -> str:
    """`text` in the grammar, its marks as tokens where they are."""
    if not text:
        return ""
    for mark in marks:
        before, found, after = text.partition(mark)
        if found and (token := special(mark)) is not None:
            parts = [_literal(before, marks, special), f"<[{token}]>", _literal(after, marks, special)]
            return " ".join(part for part in parts if part)
    return json.dumps(text)


def _missing(field: str) -> str:
    return (
        f"`{field}`: this endpoint has no llguidance: write it into inference/requirements.txt and deploy "
        "again; where `image` is slim for the endpoint, set it to auto or full"
    )
