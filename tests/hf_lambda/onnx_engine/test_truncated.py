"""What is not read of a text is said, by both engines alike; what can be read in windows is read."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from hf_lambda.log import Trace, current_trace
from hf_lambda.onnx_engine import load as load_onnx
from hf_lambda.torch_engine import load as load_torch
from tests import tiny_seq2seq
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import TEXTS
from warmup.prepare import PrepareRequest, prepare

LONG = " ".join(TEXTS)
CUT = {"truncation": True}
LABELS = {"candidate_labels": ["a cat", "sport"]}


def told(engine, inputs, parameters):
    """How many of `inputs` the engine says that it did not read whole."""
    trace = Trace()
    token = current_trace.set(trace)
    try:
        engine(inputs, **parameters)
    finally:
        current_trace.reset(token)
    return trace.truncated_inputs


@pytest.mark.parametrize(
    ("task", "inputs", "parameters", "cut"),
    [
        ("text-classification", [LONG, "ok", LONG], CUT, 2),
        ("text-classification", ["ok", TEXTS[0]], {**CUT, "max_length": 4}, 1),
        ("text-classification", [{"text": "ok", "text_pair": LONG}, "ok"], CUT, 1),
        ("text-classification", ["ok"], {}, 0),
        ("zero-shot-classification", [LONG, "ok"], LABELS, 1),
        ("fill-mask", [f"a [MASK] {LONG}", "a [MASK]"], CUT, 1),
        ("feature-extraction", [LONG, "ok"], CUT, 1),
        ("feature-extraction", [LONG, "ok", LONG], {"pooling": "mean"}, 2),
        ("feature-extraction", ["ok", TEXTS[0]], {"pooling": "auto", "max_length": 5}, 1),
        ("token-classification", [LONG, "ok"], {}, 0),
        ("question-answering", [{"question": "who?", "context": LONG}], {}, 0),
    ],
)
def test_both_engines_say_how_many_texts_were_cut(pair, task, inputs, parameters, cut):
    both = pair(task)
    assert told(both.fast, inputs, parameters) == cut
    assert told(load_torch(task, both.snapshot), inputs, parameters) == cut


def test_a_text_that_just_fits_beside_its_hypothesis_is_not_said_to_be_cut(pair):
    both = pair("zero-shot-classification")
    slow = load_torch("zero-shot-classification", both.snapshot)
    counts = []
    for words in range(16, 44):
        inputs = [" ".join(["ok"] * words)]
        counts.append(told(both.fast, inputs, LABELS))
        assert told(slow, inputs, LABELS) == counts[-1]
    assert counts == sorted(counts) and set(counts) == {0, 1}


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "max"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_long_texts_are_read_in_windows_by_default_as_transformers_does_with_a_stride(pair, family, strategy):
    both = pair("token-classification", family)
    slow = load_torch("token-classification", both.snapshot)
    inputs = [LONG, TEXTS[0], " ".join(TEXTS[:6])]
    tokenizer = both.slow.tokenizer
    stride = (tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()) // 4
    # transformers refuses "none" beside a stride by name, and does the two together where it is not named.
    named = {} if strategy == "none" else {"aggregation_strategy": strategy}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        wanted = both.slow(inputs, stride=stride, **named)
        for engine in (both.fast, slow):
            same(engine(inputs, aggregation_strategy=strategy), wanted)
    assert max(entity["end"] for entity in wanted[0]) > len(LONG) * 0.9


def test_long_lists_of_words_are_read_in_windows(pair):
    both = pair("token-classification")
    words = [LONG.split(), ["ok"]]
    options = {"is_split_into_words": True, "aggregation_strategy": "simple"}
    found = both.fast(words, **options)
    same(load_torch("token-classification", both.snapshot)(words, **options), found)
    assert max(entity["end"] for entity in found[0]) > len(LONG) * 0.9


def test_an_encoder_decoder_says_what_it_cut(tmp_path):
    snapshot = tiny_seq2seq.build("bart", tmp_path / "snapshot")
    request = PrepareRequest("summarization", "a/b", "c" * 40, snapshot, precision="fp32")
    entry = prepare(request, into=tmp_path, isolated=False)
    parameters = {**CUT, "max_new_tokens": 3}
    for engine in (load_onnx("summarization", Path(entry.path)), load_torch("summarization", snapshot)):
        assert told(engine, [LONG * 30, "ok"], parameters) == 1
