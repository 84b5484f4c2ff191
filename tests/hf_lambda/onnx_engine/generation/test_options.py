"""Generation options: request over shipped over transformers' defaults; nothing that matters is ignored."""

from __future__ import annotations

import pytest
import transformers

from hf_lambda.onnx_engine.generation.options import (
    NEUTRAL,
    SUPPORTED,
    WITHOUT_EFFECT,
    InvalidOptionError,
    Options,
    UnsupportedOptionError,
    resolve,
    unsupported,
)

SHIPPED = {"decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
REFUSED = {
    "assistant_ensemble_weight": 0.5,
    "constraints": ["x"],
    "diversity_penalty": 0.5,
    "dola_layers": "high",
    "epsilon_cutoff": 0.1,
    "eta_cutoff": 0.1,
    "force_words_ids": [[5]],
    "guidance_scale": 2.0,
    "is_assistant": True,
    "low_memory": True,
    "max_time": 3.0,
    "num_beam_groups": 2,
    "penalty_alpha": 0.6,
    "prompt_lookup_num_tokens": 3,
    "speculation_type": "dflash",
    "stop_strings": ["."],
    "token_healing": True,
    "top_h": 0.4,
    "use_mtp": True,
    "watermarking_config": {"bias": 2.5},
    "an_option_of_a_later_version": 1,
}


def test_a_request_wins_over_what_is_shipped_and_none_counts_as_not_given():
    options = resolve(
        {**SHIPPED, "num_beams": 4, "length_penalty": 2.0}, {"num_beams": 2, "length_penalty": None}
    )
    assert (options.num_beams, options.length_penalty) == (2, 2.0)
    assert options.eos_token_id == (2,)


@pytest.mark.parametrize(
    ("given", "longest", "shortest"),
    [
        ({}, 21, 0),
        ({"max_length": 30, "min_length": 5}, 30, 5),
        ({"max_new_tokens": 30, "min_new_tokens": 5}, 31, 6),
        ({"max_length": 9, "max_new_tokens": 30}, 31, 0),
    ],
)
def test_lengths_count_the_start_token(given, longest, shortest):
    options = resolve(SHIPPED, given)
    assert (options.max_length, options.min_length) == (longest, shortest)


def test_the_beginning_of_sequence_starts_decoding_where_nothing_else_is_named():
    assert resolve({"bos_token_id": 7, "eos_token_id": 2}, {}).decoder_start_token_id == 7
    with pytest.raises(InvalidOptionError, match="the id of the token that decoding starts with"):
        resolve({"eos_token_id": 2}, {})


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_is_not_built_is_refused_by_name(name):
    with pytest.raises(UnsupportedOptionError, match=f"generation option {name}=.* is not supported here"):
        resolve({**SHIPPED, name: REFUSED[name]}, {})


@pytest.mark.parametrize(("name", "values"), NEUTRAL.items())
def test_an_option_that_is_not_built_may_have_the_value_that_changes_nothing(name, values):
    for value in values:
        assert resolve({**SHIPPED, name: value}, {}) == resolve(SHIPPED, {})


def test_every_option_that_transformers_has_is_supported_harmless_or_refused():
    names = {name for name in vars(transformers.GenerationConfig()) if name != "_original_object_hash"}
    decided = SUPPORTED | WITHOUT_EFFECT | set(REFUSED) | set(NEUTRAL)
    assert names - decided == set()


def test_what_transformers_sets_by_default_is_what_is_assumed_here():
    defaults = transformers.GenerationConfig._get_default_generation_params()
    assert unsupported(defaults) is None
    ours = Options(decoder_start_token_id=0)
    for name, value in defaults.items():
        if hasattr(ours, name) and name != "max_length":
            assert getattr(ours, name) == value or (not getattr(ours, name) and not value), name


@pytest.mark.parametrize(
    "option",
    [
        {"bad_words_ids": [[5], [3, 50]]},
        {"suppress_tokens": [-1]},
        {"forced_bos_token_id": 50},
        {"forced_eos_token_id": [2, 99]},
        {"decoder_start_token_id": 50},
    ],
)
def test_token_ids_have_to_be_in_the_vocabulary(option):
    resolve({**SHIPPED, **option}, {})
    with pytest.raises(InvalidOptionError, match=r"token ids? from 0 to 49"):
        resolve({**SHIPPED, **option}, {}, vocabulary=50)
