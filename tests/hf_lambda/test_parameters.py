"""Which options and parameters a pipeline takes, and which values."""

from __future__ import annotations

import pytest

from hf_lambda.errors import BadRequest
from hf_lambda.parameters import (
    PARAMETERS,
    call_parameters,
    default_problem,
    expected_value,
    language_pair,
    option_problem,
)

TEMPLATES_WITHOUT_A_PLACE = [
    "no place",
    "a {{}} b",
    "This {label} is {}.",
    "{} }",
    "{ {}",
    "{:x} {}",
    "{} {}",
    "{1}",
    "{0} {}",
    "{0.__class__}",
    "{0[0]}",
    "{!r}",
    "{:>9999999999}",
    " ",
    3,
]


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("text-classification", "top_k", 1),
        ("text-generation", "top_k", 0),
        ("summarization", "early_stopping", "never"),
        ("summarization", "truncation", True),
        ("summarization", "top_p", 0.9),
        ("zero-shot-classification", "candidate_labels", "a, b"),
        ("zero-shot-classification", "candidate_labels", ["a"]),
        ("zero-shot-classification", "hypothesis_template", "This example is {}."),
        ("zero-shot-classification", "hypothesis_template", "{0} x"),
        ("zero-shot-classification", "hypothesis_template", "{0} and {0} {{}}"),
        ("token-classification", "aggregation_strategy", "simple"),
        ("translation_en_to_fr", "length_penalty", -1),
        ("summarization", "bad_words_ids", [[1, 2]]),
        ("summarization", "eos_token_id", [1, 2]),
        ("fill-mask", "truncation", True),
        ("feature-extraction", "prompt", ""),
        ("fill-mask", "tokenizer_kwargs", {"truncation": True, "max_length": 8}),
    ],
)
def test_a_value_that_fits_passes(task, name, value):
    assert expected_value(task, name, value) is None


@pytest.mark.parametrize(
    ("task", "name", "value", "expected"),
    [
        ("text-classification", "top_k", 0, "a whole number of at least 1"),
        ("text-classification", "top_k", True, "a whole number of at least 1"),
        ("text-generation", "top_k", -1, "a whole number of at least 0"),
        ("summarization", "max_length", 2.5, "a whole number of at least 1"),
        ("summarization", "temperature", 0, "a number above 0"),
        ("summarization", "top_p", 1.1, "a number from 0 to 1"),
        ("summarization", "do_sample", "yes", "one of true, false"),
        ("summarization", "temperature", 1e-40, "a number from 1e-06 to 1e+06"),
        ("summarization", "temperature", 1e400, "a number above 0"),
        ("summarization", "length_penalty", -100, "a number from -10 to 10"),
        ("summarization", "typical_p", 0, "a number above 0 and at most 1"),
        ("summarization", "seed", 2**70, "a whole number of at least 0"),
        ("question-answering", "max_answer_len", 2**63, "a whole number of at least 1"),
        ("summarization", "suppress_tokens", [-1], "an array of token ids"),
        ("summarization", "bad_words_ids", [[]], "an array of arrays of token ids"),
        ("zero-shot-classification", "candidate_labels", [], "text or an array of texts"),
        *(
            ("zero-shot-classification", "hypothesis_template", template, "text with {} where the label goes")
            for template in TEMPLATES_WITHOUT_A_PLACE
        ),
        ("ner", "aggregation_strategy", "best", "one of none, simple, first, average, max"),
        (
            "feature-extraction",
            "pooling",
            "median",
            "one of auto, none, cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken, mean_sqrt_len",
        ),
        ("feature-extraction", "prompt", 3, "text"),
        ("summarization", "bad_words_ids", [1], "an array of arrays of token ids"),
        ("fill-mask", "tokenizer_kwargs", {"padding": True}, "an object of truncation and max_length"),
        ("fill-mask", "tokenizer_kwargs", {"max_length": 0}, "an object of truncation and max_length"),
    ],
)
def test_a_value_that_does_not_fit_is_answered_with_what_does(task, name, value, expected):
    assert expected_value(task, name, value) == expected


def test_every_parameter_of_every_task_refuses_an_object_or_is_free():
    for task, names in PARAMETERS.items():
        free = [name for name in names if expected_value(task, name, {}) is None]
        assert free in ([], ["chat_template_kwargs"], ["generate_kwargs"])  # objects of other names


def test_a_default_is_checked_like_a_value_of_a_call():
    assert default_problem("ner", "aggregation_strategy", "best") == (
        "`aggregation_strategy='best'`: write one of none, simple, first, average, max"
    )
    assert default_problem("ner", "aggregation_strategy", None) is None
    assert default_problem("ner", "engine", "x") is None


def test_options_of_transformers_that_change_nothing_are_accepted_and_others_told_apart():
    assert option_problem("ner", "device", "cpu") is None
    assert option_problem("ner", "device", 0) == "`device=0` is not supported here: leave it out"
    problem = option_problem("ner", "agregation_strategy", "simple")
    assert problem is not None
    assert problem.startswith("`agregation_strategy` is not an option of ner; it takes task, model")


@pytest.mark.parametrize(
    ("task", "name", "values"),
    [
        ("text-classification", "batch_size", [1, 8]),
        ("object-detection", "num_workers", [0, 2]),
        ("text-classification", "padding", [True, False, "longest", "max_length"]),
        ("text-classification", "return_all_scores", [True, False]),
        ("feature-extraction", "return_tensors", [False]),
        ("translation_en_to_fr", "return_tensors", [False]),
        ("feature-extraction", "tokenize_kwargs", [{"padding": True}]),
    ],
)
def test_options_of_calls_that_change_no_answer_are_taken_and_reach_no_engine(task, name, values):
    for value in values:
        assert call_parameters(task, {}, {name: value}) == {}
        assert option_problem(task, name, value) is None
    assert option_problem(task, name, None) is None


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("text-classification", "batch_size", 0),
        ("text-classification", "padding", "sometimes"),
        ("feature-extraction", "return_tensors", True),
        ("feature-extraction", "tokenize_kwargs", {"padding": "max_length"}),
        ("feature-extraction", "tokenize_kwargs", {"add_special_tokens": False}),
        ("token-classification", "padding", True),
    ],
)
def test_options_that_would_change_an_answer_are_refused_by_name(task, name, value):
    assert refused(task, {name: value}).field == name
    assert name in str(option_problem(task, name, value) or default_problem(task, name, value))


def test_the_tokenizer_options_of_feature_extraction_are_parameters():
    given = {"tokenize_kwargs": {"truncation": True, "max_length": 5, "padding": True}}
    assert call_parameters("feature-extraction", {"max_length": 9}, given) == {
        "truncation": True,
        "max_length": 5,
    }


def test_what_a_call_gives_wins_over_what_the_pipeline_declares():
    assert call_parameters("text-classification", {"top_k": 2, "truncation": True}, {"top_k": 3}) == {
        "top_k": 3,
        "truncation": True,
    }


def refused(task, parameters):
    with pytest.raises(BadRequest) as caught:
        call_parameters(task, {}, parameters)
    return caught.value


def test_an_unknown_parameter_names_those_that_exist():
    error = refused("text-classification", {"topk": 1})
    assert (error.field, error.given) == ("topk", "an unknown one")
    assert error.expected == "one of the parameters top_k, function_to_apply, truncation, max_length"


def test_a_wrong_value_is_named_with_what_fits_and_is_shown_in_a_few_characters():
    assert refused("ner", {"aggregation_strategy": "best"}).expected.endswith("first, average, max")
    assert refused("ner", {"aggregation_strategy": "best"}).given == "string"  # never the caller's text
    error = refused("fill-mask", {"top_k": [1] * 1000})
    assert len(error.given) == 100
    assert error.given.endswith("...")


@pytest.mark.parametrize("labels", [None, [], "", " , ", [1], ["a", ""]])
def test_labels_are_asked_for(labels):
    given = {} if labels is None else {"candidate_labels": labels}
    assert refused("zero-shot-classification", given).field == "candidate_labels"


def test_labels_may_be_one_text_with_commas():
    chosen = call_parameters("zero-shot-classification", {}, {"candidate_labels": "a, b,, c "})
    assert chosen == {"candidate_labels": ["a", "b", "c"]}


def test_a_stride_needs_an_aggregation_strategy():
    assert refused("ner", {"stride": 3}).field == "stride"
    assert refused("ner", {"stride": 3, "aggregation_strategy": "none"}).field == "stride"
    assert call_parameters("ner", {"aggregation_strategy": "simple"}, {"stride": 3})["stride"] == 3


def test_whole_numbers_are_floats_where_transformers_wants_floats():
    given = {"temperature": 2, "length_penalty": 1, "top_k": 3}
    chosen = call_parameters("summarization", {"repetition_penalty": 1}, given)
    assert chosen == {"temperature": 2.0, "length_penalty": 1.0, "top_k": 3, "repetition_penalty": 1.0}
    kinds = {name: type(value) for name, value in chosen.items()}
    assert kinds == {"temperature": float, "length_penalty": float, "top_k": int, "repetition_penalty": float}


@pytest.mark.parametrize(
    ("least", "most"), [("min_length", "max_length"), ("min_new_tokens", "max_new_tokens")]
)
def test_the_least_length_is_at_most_the_most(least, most):
    assert refused("summarization", {least: 9, most: 8}).field == least
    assert call_parameters("summarization", {most: 9}, {least: 9}) == {least: 9, most: 9}


@pytest.mark.parametrize("name", ["prompt", "prompt_name"])
def test_a_prompt_needs_a_pooling(name):
    assert refused("feature-extraction", {name: "query"}).field == name
    assert call_parameters("feature-extraction", {"pooling": "auto"}, {name: "query"})[name] == "query"


def test_the_tokenizer_options_of_fill_mask_are_parameters_as_those_of_other_tasks():
    given = {"tokenizer_kwargs": {"truncation": True, "max_length": 8}, "top_k": 2}
    assert call_parameters("fill-mask", {"max_length": 4}, given) == {
        "truncation": True,
        "max_length": 8,
        "top_k": 2,
    }


def test_languages_come_from_the_call_or_the_name_of_the_task():
    known = ["en", "fr", "de"]
    assert language_pair("translation_en_to_fr", {}, known) == ("en", "fr")
    assert language_pair("translation_en_to_fr", {"tgt_lang": "de"}, known) == ("en", "de")
    with pytest.raises(BadRequest, match="`src_lang`: expected one of the model's 3 languages: en, fr, de"):
        language_pair("translation", {"tgt_lang": "fr"}, known)


SPEECH = "automatic-speech-recognition"


def test_generate_kwargs_are_parameters_and_those_beside_them_come_first():
    declared = {"generate_kwargs": {"language": "fr", "num_beams": 2}}
    given = {"generate_kwargs": {"num_beams": 3, "task": "translate", "prompt": None}, "task": "transcribe"}
    chosen = call_parameters(SPEECH, declared, given)
    assert chosen == {"language": "fr", "num_beams": 3, "task": "transcribe"}
    assert default_problem(SPEECH, "generate_kwargs", declared["generate_kwargs"]) is None


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (3, "an object of bad_words_ids, "),
        ({"return_timestamps": True}, "language, task, prompt"),
        ({"device": "cuda"}, "an object of"),
        ({"num_beams": 0}, "a whole number of at least 1 as its num_beams"),
        ({"generate_kwargs": {}}, "an object of"),
    ],
)
def test_generate_kwargs_are_checked_as_parameters_are(inside, expected):
    with pytest.raises(BadRequest, match=expected):
        call_parameters(SPEECH, {}, {"generate_kwargs": inside})
    assert expected.split()[0] in str(default_problem(SPEECH, "generate_kwargs", inside))


def test_generate_kwargs_are_of_the_pipelines_that_have_them_in_transformers():
    with pytest.raises(BadRequest, match="generate_kwargs"):
        call_parameters("image-classification", {}, {"generate_kwargs": {}})
