"""Text generation on torch: what transformers stumbles over is a 400 or 422, what it lacks is done here."""

from __future__ import annotations

import json

import pytest

from hf_lambda.errors import ServingError
from hf_lambda.inputs import read_inputs
from hf_lambda.parameters import call_parameters
from hf_lambda.torch_engine import load
from tests import tiny_decoders


@pytest.fixture
def engine(tiny):
    return load("text-generation", tiny("GPT2LMHeadModel"))


def asked(engine, item, **parameters):
    """As a request goes: inputs read, parameters checked, engine called."""
    items, _ = read_inputs("text-generation", (item,), parameters)
    return engine(items, **call_parameters("text-generation", {}, parameters))


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ("max_length", {"max_length": 4}),
        ("max_length", {"max_length": 1000}),
        ("num_beam_groups", {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0}),
        ("diversity_penalty", {"diversity_penalty": 1}),
        ("seed", {"seed": 2**70}),
        ("typical_p", {"typical_p": 0}),
        ("temperature", {"temperature": 1e400}),
        ("temperature", {"temperature": 1e-40}),
        ("repetition_penalty", {"repetition_penalty": float("nan")}),
        ("length_penalty", {"length_penalty": -100}),
        ("length_penalty", {"length_penalty": 10**8, "num_beams": 2}),
        ("top_k", {"top_k": 2**70}),
        ("suppress_tokens", {"suppress_tokens": [10**6]}),
        ("suppress_tokens", {"suppress_tokens": [-1]}),
        ("bad_words_ids", {"bad_words_ids": [[]]}),
        ("bad_words_ids", {"bad_words_ids": [[3], [10**6]]}),
        ("sequence_bias", {"sequence_bias": [[[10**6], 1]]}),
        ("sequence_bias", {"sequence_bias": [[[], 1]]}),
        ("eos_token_id", {"eos_token_id": 10**6}),
        ("forced_eos_token_id", {"forced_eos_token_id": [10**6]}),
        ("min_length", {"min_length": 30, "max_length": 20}),
        ("min_new_tokens", {"min_new_tokens": 9, "max_new_tokens": 3}),
        ("num_return_sequences", {"num_return_sequences": 3, "do_sample": False}),
        ("num_return_sequences", {"num_return_sequences": 3, "num_beams": 2}),
        ("tools", {"tools": [{}]}),
        ("chat_template_kwargs", {"chat_template_kwargs": {"a": 1}}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name_and_briefly(engine, field, parameters):
    with pytest.raises(ServingError) as refused:
        asked(engine, "the cat", **parameters)
    assert refused.value.status in (400, 422)
    assert refused.value.body()["error"]["field"] == field
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    ("field", "chat"),
    [
        ("messages", [{"role": "user", "content": "the cat"}]),  # the model has no template
        ("messages[0].content", [{"role": "user"}]),
        ("messages[1]", [[{"role": "user", "content": "the cat"}, 3]]),
        ("messages", [[]]),
    ],
)
def test_chats_that_are_none_and_models_without_a_template_are_refused(engine, field, chat):
    with pytest.raises(ServingError) as refused:
        asked(engine, chat)
    assert refused.value.body()["error"]["field"] == field


def test_what_a_template_refuses_is_unprocessable(tiny):
    folder = tiny("GPT2LMHeadModel", n_inner=48)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no such role') }}")
    with pytest.raises(ServingError, match="the model's chat template refuses them: no such role"):
        asked(load("text-generation", folder), [{"role": "wizard", "content": "the cat"}])


@pytest.mark.parametrize("name", ["temperature", "repetition_penalty", "top_p", "min_p", "typical_p"])
def test_a_whole_number_stands_for_the_float(engine, name):
    options = {"max_new_tokens": 6, "do_sample": True, "seed": 3}
    assert asked(engine, "the cat", **{name: 1}, **options) == asked(
        engine, "the cat", **{name: 1.0}, **options
    )


def test_a_stop_text_ends_the_answer_before_it_and_a_stop_sequence_after_it(engine):
    options = {"max_new_tokens": 8, "do_sample": False}
    whole = asked(engine, "the cat", return_full_text=False, **options)[0][0]["generated_text"]
    stop = whole.split()[2]
    before = whole[: whole.index(stop)]
    assert asked(engine, "the cat", stop=[stop, "never"], **options) == [
        [{"generated_text": "the cat" + before}]
    ]
    ended = asked(engine, "the cat", stop_sequence=stop, return_full_text=False, **options)[0][0]
    assert ended["generated_text"] == before + stop


def test_penalties_of_chat_apis_count_what_was_written_alone(engine):
    options = {"max_new_tokens": 12, "do_sample": False, "return_full_text": False}
    first = asked(engine, "the cat", max_new_tokens=1, do_sample=False, return_full_text=False)[0][0]
    text = asked(engine, "the cat", presence_penalty=1000, **options)[0][0]["generated_text"]
    assert text.startswith(first["generated_text"])  # nothing was written before it
    assert len(set(text.split())) == len(text.split())
    assert asked(engine, "the cat", frequency_penalty=1000, **options)[0][0]["generated_text"] == text


def test_a_prompt_longer_than_the_model_was_trained_for_is_refused_where_positions_have_no_table(tmp_path):
    folder = tiny_decoders.snapshot("llama", tmp_path / "model")
    most = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    engine = load("text-generation", folder)
    with pytest.raises(ServingError, match=f"the model takes at most {most}") as caught:
        asked(engine, "the" * 10**5)
    assert caught.value.status == 422
    assert asked(engine, "the cat", max_new_tokens=2)
