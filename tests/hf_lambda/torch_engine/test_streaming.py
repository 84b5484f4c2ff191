"""Generated text on torch comes piece by piece, and is what a whole answer is."""

from __future__ import annotations

import threading

import pytest
import torch

from hf_lambda.errors import BadRequest
from hf_lambda.torch_engine import load
from hf_lambda.torch_engine.streaming import tokens_of
from tests.tiny_decoders import snapshot

CHAT = [{"role": "user", "content": "Where does the train leave?"}]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return load("text-generation", snapshot("qwen3", tmp_path_factory.mktemp("source")))


def _streamed(engine, item, **asked):
    completion = engine.complete_each([item], **asked)[0]
    pieces = list(completion.pieces)
    return pieces, completion.generated[0]


@pytest.mark.parametrize("item", ["The train to Edinburgh leaves at", CHAT])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"do_sample": True, "temperature": 2.0, "seed": 3},
        {"repetition_penalty": 1.4},
        {"frequency_penalty": 0.5},
    ],
)
def test_pieces_come_to_the_whole_answer(engine, item, asked):
    asked = {"max_new_tokens": 24, **asked}
    pieces, generated = _streamed(engine, item, **asked)
    (whole,) = engine.complete_each([item], **asked)[0].run().generated
    assert "".join(pieces) == generated.text == whole.text
    assert len(pieces) > 3


def test_a_stop_text_ends_it_and_is_not_shown(engine):
    _, generated = _streamed(engine, "The train", max_new_tokens=24)
    stop = generated.text[8:11]
    pieces, cut = _streamed(engine, "The train", max_new_tokens=24, stop=[stop, "never there"])
    assert "".join(pieces) == cut.text == generated.text[: generated.text.find(stop)]
    assert cut.finish == "stop" and cut.tokens < 24


def test_why_it_ended_and_how_many_tokens_it_has_are_known(engine):
    _, cut = _streamed(engine, "The train", max_new_tokens=5)
    assert (cut.finish, cut.tokens) == ("length", 5)
    tokens = engine._tokenizer("The train")["input_ids"]
    made = engine._model.generate(torch.tensor([tokens]), max_new_tokens=3, do_sample=False)[0, len(tokens) :]
    _, ended = _streamed(engine, "The train", max_new_tokens=9, eos_token_id=[int(made[1])])
    assert (ended.finish, ended.tokens) == ("stop", 2)


def test_beams_are_one_piece(engine):
    pieces, generated = _streamed(engine, "The train", max_new_tokens=6, num_beams=2)
    assert pieces == [generated.text]


def test_what_is_wrong_reaches_whoever_reads(engine):
    with pytest.raises(BadRequest, match="eos_token_id"):
        list(engine.complete_each(["The train"], max_new_tokens=6, eos_token_id=[10**9])[0].pieces)


def test_a_reader_that_leaves_ends_the_generation_at_its_next_token(engine, monkeypatch):
    steps, forward = [], engine._model.forward

    def counted(*arguments, **options):
        steps.append(1)
        return forward(*arguments, **options)

    monkeypatch.setattr(engine._model, "forward", counted)
    threads = threading.active_count()
    pieces = engine.complete_each(["The train"], max_new_tokens=200)[0].pieces
    next(pieces)
    pieces.close()
    assert threading.active_count() == threads
    assert len(steps) < 200
    assert _streamed(engine, "The train", max_new_tokens=4)[1].tokens == 4


def test_tokens_of_a_call_that_fails_come_before_its_error():
    def generate(streamer):
        streamer.put(torch.tensor([[1, 2, 3]]))
        streamer.put(torch.tensor([7]))
        raise RuntimeError("no more")

    tokens = tokens_of(generate)
    assert next(tokens) == 7
    with pytest.raises(RuntimeError, match="no more"):
        next(tokens)
