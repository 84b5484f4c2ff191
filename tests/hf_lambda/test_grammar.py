"""Generations that are held to a structure: whatever token is drawn of those allowed, the text fits."""

from __future__ import annotations

import json
import sys

import jsonschema
import numpy as np
import pytest
from tokenizers import AddedToken, ByteLevelBPETokenizer

from hf_lambda.errors import BadRequest
from hf_lambda.grammar import Grammars
from hf_lambda.records import Json
from hf_lambda.structure import FORMS, Argued, Called, CallReader, Said, Structure, Tool

EOS = 0
MORE = 7
"""Scores without a token, as many models have them."""
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Rome", "Paris", "Zürich"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 2},
        "note": {"type": "string", "maxLength": 5},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = (Tool("weather", SCHEMA), Tool("now", {"type": "object", "additionalProperties": False}))


def _tokenizer(*, with_marks):
    trained = ByteLevelBPETokenizer()
    words = ['{"name": "weather", "arguments": {"city": "Rome", "days": [1, 2]}} and plain words']
    trained.train_from_iterator(words * 2, vocab_size=330, special_tokens=["<|end|>"])
    tokenizer = trained._tokenizer
    if with_marks:
        tokenizer.add_tokens([AddedToken(mark, special=False) for mark in ("<tool_call>", "</tool_call>")])
        tokenizer.add_special_tokens([AddedToken("[TOOL_CALLS]", special=True)])
    return tokenizer


@pytest.fixture(scope="module", params=[True, False], ids=["marks are tokens", "marks are text"])
def tokenizer(request):
    return _tokenizer(with_marks=request.param)


@pytest.fixture(scope="module")
def grammars(tokenizer):
    return Grammars(lambda: tokenizer, tokenizer.get_vocab_size() + MORE, [EOS])


def _drawn(tokenizer, held, seed, *, longest=400, ending=1.0):
    """A text of tokens drawn from those that are allowed; ending: how likely an end is, where it may come."""
    random = np.random.default_rng(seed)
    tokens: list[int] = []
    while not held.is_whole and len(tokens) < longest:
        scores = random.standard_normal(tokenizer.get_vocab_size() + MORE).astype(np.float32)
        held.restrict(scores)
        if np.isfinite(scores[EOS]) and random.random() < ending:
            return tokenizer.decode(tokens), True
        scores[EOS] = -np.inf if np.isfinite(np.delete(scores, EOS).max()) else scores[EOS]
        token = int(scores.argmax())
        if token == EOS:
            return tokenizer.decode(tokens), True
        assert token < tokenizer.get_vocab_size()
        tokens.append(token)
        held.take(token)
    return tokenizer.decode(tokens), held.is_whole


def test_every_text_that_can_be_drawn_is_json_of_the_schema(tokenizer, grammars):
    first = grammars.hold(Structure(SCHEMA))
    texts = set()
    for seed in range(20):
        text, is_whole = _drawn(tokenizer, first.again(), seed)
        assert is_whole
        jsonschema.validate(json.loads(text), SCHEMA)
        texts.add(text)
    assert len(texts) > 5


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("is_parallel", [True, False])
def test_every_text_that_can_be_drawn_is_calls_of_the_tools(tokenizer, grammars, form, is_parallel):
    is_parallel = is_parallel and form.between is not None
    first = grammars.hold(Structure(None, TOOLS, form, must_call=True, is_parallel=is_parallel))
    counts = set()
    for seed in range(20):
        text, is_whole = _drawn(tokenizer, first.again(), seed, ending=0.5)
        assert is_whole
        reader = CallReader(form)
        parts = [*reader.feed(text), *reader.end()]
        assert not [part for part in parts if isinstance(part, Said)], text
        names = [part.name for part in parts if isinstance(part, Called)]
        pieces = [part for part in parts if isinstance(part, Argued)]
        arguments = ["".join(part.text for part in pieces if part.index == at) for at in range(len(names))]
        for name, given in zip(names, arguments, strict=True):
            jsonschema.validate(json.loads(given), next(t.parameters for t in TOOLS if t.name == name))
        counts.add(len(names))
    assert (max(counts) > 1) == is_parallel
    assert min(counts) == 1


def _accepts(tokenizer, held, text):
    for token in tokenizer.encode(text, add_special_tokens=False).ids:
        if held.is_whole or not held.allowed(tokenizer.get_vocab_size())[token]:
            return False
        held.take(token)
    return held.is_whole or bool(held.allowed(tokenizer.get_vocab_size())[EOS])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_where_a_tool_may_be_called_text_is_free_until_a_call_begins(tokenizer, grammars, form):
    first = grammars.hold(Structure(None, TOOLS, form))
    call = f'{form.begin}{form.open}{{"name": "now{form.to_arguments}{{}}}}{form.close}{form.end}'
    other = call.replace("now", "never")
    before = "Let me see. " if form.follows_text else ""
    for text, fits in (
        ("plain words", True),
        ("", True),
        ("words { and [ and <tool", True),
        (before + call, True),
        (before + other, False),
        (before + form.lead, False),
    ):
        assert _accepts(tokenizer, first.again(), text) is fits, text


@pytest.mark.parametrize("form", [form for form in FORMS if form.follows_text], ids=lambda form: form.name)
def test_beside_a_schema_it_is_either_json_or_a_call(tokenizer, grammars, form):
    first = grammars.hold(Structure({"type": "object", "required": ["n"]}, TOOLS, form))
    call = f'{form.begin}{form.open}{{"name": "now{form.to_arguments}{{}}}}{form.close}{form.end}'
    assert _accepts(tokenizer, first.again(), call)
    assert _accepts(tokenizer, first.again(), '{"n": 1}')
    assert not _accepts(tokenizer, first.again(), "plain words")


def test_what_other_options_forbid_is_allowed_where_nothing_else_is(tokenizer, grammars):
    held = grammars.hold(Structure({"const": "a"}))
    scores = np.full(tokenizer.get_vocab_size() + MORE, -np.inf, np.float32)
    held.restrict(scores)
    assert np.flatnonzero(np.isfinite(scores)).tolist() == np.flatnonzero(held.allowed(len(scores))).tolist()
    assert np.isfinite(scores).any()


NESTED: dict[str, Json] = {"type": "object"}
for _ in range(200):
    NESTED = {"type": "object", "properties": {"a": NESTED}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, "Invalid type: strin"),
        ({"not": {}}, 'Unimplemented keys: \\["not"\\]'),
        ({"$ref": "#"}, "one that nothing fits"),
        ({"$ref": "http://127.0.0.1:9/x.json"}, "not present in a registry"),
        ({"$ref": "file:///etc/passwd"}, "not present in a registry"),
        ({"type": "string", "pattern": "(?=a)b"}, "regex parse error"),
        ({"enum": [str(index) for index in range(100_000)]}, "too big"),
        (NESTED, "recursion limit"),
        ({"const": "\ud800"}, "hex escape"),
        ({"x-guidance": 7, "type": "integer", "minimum": 2, "maximum": 1}, "JSON Schema that is supported"),
    ],
)
def test_a_schema_that_cannot_be_is_refused_before_the_first_token(grammars, schema, reason):
    with pytest.raises(BadRequest, match=reason) as refused:
        grammars.hold(Structure(schema))
    assert refused.value.field == "response_format"
    assert len(refused.value.message) < 300


def test_a_schema_cannot_change_how_json_is_written(tokenizer, grammars):
    loose = {
        "type": "object",
        "x-guidance": {"whitespace_flexible": True, "lenient": True},
        "required": ["a"],
    }
    assert not _accepts(tokenizer, grammars.hold(Structure(loose)), '{ \n\n "a":1}')
    assert _accepts(tokenizer, grammars.hold(Structure(loose)), '{"a": 1}')


def test_without_the_library_the_message_says_where_to_write_it(tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(BadRequest, match=r"llguidance: write it into inference/requirements\.txt") as refused:
        Grammars(lambda: tokenizer, tokenizer.get_vocab_size(), [EOS]).hold(Structure({"type": "object"}))
    assert refused.value.field == "response_format"
