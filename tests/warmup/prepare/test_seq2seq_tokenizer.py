"""Tokenizers that transformers runs on sentencepiece, rebuilt: the same ids and the same texts."""

from __future__ import annotations

import json
import random

import pytest
import transformers

from hf_lambda.onnx_engine.contract import Seq2SeqContract
from hf_lambda.onnx_engine.seq2seq_tokenizer import Seq2SeqTokenizer
from hf_lambda.onnx_engine.tokenizer import load_tokenizer
from tests.tiny_seq2seq import build
from warmup.prepare import NotPrepared
from warmup.prepare.samples import LONG, SENTENCES
from warmup.prepare.seq2seq.contract import contract_of
from warmup.prepare.seq2seq.tokenizer import served_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
WORDS = " ".join([*SENTENCES, LONG]).split()
ODD = [
    "",
    " ",
    "  a  b ",
    "ß",
    "ßß",
    "Üx",
    "日本",
    "😀",
    "a\nb\tc",
    ">>fr<< Hello",
    ">>xx<< Hello",
    "a >>fr<< b",
    "…½",
]


@pytest.fixture(scope="module", params=["marian", "m2m100"])
def both(request, tmp_path_factory):
    """(ours as it is served, transformers' own)"""
    folder = build(request.param, tmp_path_factory.mktemp(request.param))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    served, size = served_tokenizer(theirs)
    (folder / "tokenizer.json").write_text(served.to_str())
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    written = json.dumps(contract_of("seq2seq-lm", theirs, model, size).to_json())
    return Seq2SeqTokenizer(load_tokenizer(folder), Seq2SeqContract.from_json(json.loads(written))), theirs


@pytest.mark.parametrize("text", [*SENTENCES, LONG, *ODD])
def test_a_text_has_the_ids_that_transformers_gives_it(both, text):
    ours, theirs = both
    assert ours.encode([text]) == [theirs(text)["input_ids"]]


def test_random_words_have_the_ids_that_transformers_gives_them(both):
    ours, theirs = both
    choice = random.Random(5)
    texts = [" ".join(choice.choices(WORDS, k=choice.randint(1, 12))) for _ in range(300)]
    assert ours.encode(texts) == theirs(texts)["input_ids"]
    assert ours.encode(texts, most=9) == theirs(texts, truncation=True, max_length=9)["input_ids"]


def test_random_ids_are_put_together_as_transformers_does(both):
    ours, theirs = both
    choice = random.Random(6)
    for _ in range(300):
        ids = [choice.randrange(len(theirs)) for _ in range(choice.randint(0, 12))]
        plain = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        assert ours.decode(ids) == theirs.decode(ids, **plain)
        tidy = {"skip_special_tokens": True, "clean_up_tokenization_spaces": True}
        assert ours.decode(ids, cleanup=True) == theirs.decode(ids, **tidy)


def test_a_tokenizer_of_another_kind_is_refused_by_name():
    class BlenderbotTokenizer:
        pass

    with pytest.raises(NotPrepared, match="BlenderbotTokenizer cannot be rebuilt without sentencepiece"):
        served_tokenizer(BlenderbotTokenizer())
