"""A request beyond what an endpoint can do is refused before a model is looked at; others run in batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_lambda import deadline, endpoint, limits, pipeline
from hf_lambda.errors import Unprocessable
from hf_lambda.limits import MOST, MOST_STOPS, MOST_TEXTS, batches, run_batches
from hf_lambda.parameters import PARAMETERS, generates
from hf_lambda.pipeline import Pipeline

GENERATING = [task for task in PARAMETERS if generates(task)]
_MADE = {"translation": "translation_en_to_fr"}


@pytest.fixture
def unloaded(monkeypatch):
    """Pipelines whose engine nobody may ask for."""

    def refuse(self):
        raise AssertionError("the engine was asked for")

    monkeypatch.setattr(Pipeline, "_loaded", refuse)


def test_every_task_that_writes_tokens_is_bounded():
    assert {"text-generation", "summarization", "translation", "text2text-generation"} <= set(GENERATING)
    assert not generates("text-classification")


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("task", ["text-generation", "summarization", "translation", "text2text-generation"])
def test_a_parameter_beyond_its_bound_is_named_with_it(unloaded, task, name):
    run = pipeline(_MADE.get(task, task), model="org/m")
    with pytest.raises(
        Unprocessable, match=f"`{name}`: {MOST[name] + 1} is more than {MOST[name]}"
    ) as caught:
        run("a", **{name: MOST[name] + 1})
    assert (caught.value.status, caught.value.field) == (422, name)
    with pytest.raises(AssertionError, match="asked for"):
        run("a", **{name: MOST[name]})


def test_defaults_of_the_script_are_bounded_as_well(unloaded):
    with pytest.raises(Unprocessable, match="`num_beams`"):
        pipeline("summarization", model="org/m", num_beams=10**9)("a")


def test_inputs_and_answers_multiply(unloaded):
    run = pipeline("text-generation", model="org/m")
    with pytest.raises(Unprocessable, match=f"33 inputs with 32 answers each are 1056 texts.*{MOST_TEXTS}"):
        run(["a"] * 33, num_return_sequences=32, do_sample=True)
    with pytest.raises(AssertionError, match="asked for"):
        run(["a"] * 32, num_return_sequences=32, do_sample=True)
    with pytest.raises(AssertionError, match="asked for"):
        run(["a"] * 2000)  # as many as a request holds, one answer each


@pytest.mark.parametrize("ask", ["stream", "complete", "__call__"])
def test_streams_are_bounded_as_calls_are(unloaded, ask):
    run = pipeline("text-generation", model="org/m")
    with pytest.raises(Unprocessable, match="`num_return_sequences`"):
        list(getattr(run, ask)("a", num_return_sequences=10**9))
    with pytest.raises(Unprocessable, match=f"`stop`: {MOST_STOPS + 1} texts"):
        list(getattr(run, ask)("a", stop=["x"] * (MOST_STOPS + 1)))


@pytest.fixture
def function(monkeypatch):
    """A function of 1,024 MB, whatever this machine has."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")


def test_inputs_are_answered_in_stretches_of_bounded_number_and_size_and_in_order():
    items = ["a" * size for size in (5, 300_000, 5, 5, 262_140, 6)] + ["b"] * 600
    found = list(limits.chunks(items, limits.characters))
    assert [item for chunk in found for item in chunk] == items
    assert all(len(chunk) <= 256 for chunk in found)
    assert all(len(chunk) == 1 or sum(map(len, chunk)) <= 1 << 18 for chunk in found)
    assert list(limits.chunks([], limits.characters)) == []


def test_an_engine_never_gets_more_at_once(warm, engine):
    warm()
    classify = pipeline("text-classification", model="org/name")
    assert classify(["x" * 100_000] * 7 + ["y"] * 300) == [
        {"label": text} for text in ["x" * 100_000] * 7 + ["y"] * 300
    ]
    assert max(len(items) for items, _ in engine.calls) == 256
    assert max(sum(map(len, items)) for items, _ in engine.calls) <= 1 << 18


@pytest.mark.parametrize(
    ("refused", "allowed"),
    [
        (lambda: limits.check_text("x" * 2_000_000), lambda: limits.check_text("x" * 1_000_000)),
        (lambda: limits.check_text({"a": ["x" * 2_000_000]}), lambda: limits.check_text([1, None, b"x"])),
        (lambda: limits.check_attention(4000, 16), lambda: limits.check_attention(2000, 16)),
        (lambda: limits.check_attention(100_000, None), lambda: limits.check_attention(512, None)),
        (lambda: limits.check_numbers(10**7, "x"), lambda: limits.check_numbers(10**6, "x")),
        (
            lambda: limits.check_candidates(500, 5, 10, 250_000),
            lambda: limits.check_candidates(3, 5, 9, 250_000),
        ),
        (
            lambda: limits.check_candidates(1, 9**6, 10**4, 9**6),
            lambda: limits.check_candidates(1, 5, 10, 9**6),
        ),
        (
            lambda: limits.check_overlap("stride", 61, 62, 62),
            lambda: limits.check_overlap("stride", 46, 62, 62),
        ),
        (
            lambda: limits.check_overlap("doc_stride", 0, 4, 384),
            lambda: limits.check_overlap("doc_stride", 128, 361, 384),
        ),
        (
            lambda: limits.check_windows("x" * 300_000, 8, 60),
            lambda: limits.check_windows("x" * 300_000, 45, 60),
        ),
        (
            lambda: limits.check_hypotheses(101, ["a"] * 100, "{}"),
            lambda: limits.check_hypotheses(100, ["a"] * 100, "{}"),
        ),
        (
            lambda: limits.check_hypotheses(1, ["a", "b" * 2_000_000], "{}"),
            lambda: limits.check_hypotheses(1, ["a"], ""),
        ),
        (
            lambda: limits.check_hypotheses(1, ["a"] * 9000, "{} " + "x" * 500),
            lambda: limits.check_hypotheses(1, ["a"] * 9000, "{} " + "x" * 50),
        ),
    ],
)
def test_what_takes_more_memory_than_the_function_has_is_refused_before_it_begins(function, refused, allowed):
    allowed()
    with pytest.raises(Unprocessable) as raised:
        refused()
    assert raised.value.status == 422


def test_a_larger_function_takes_more(monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "10240")
    limits.check_text("x" * 2_000_000)
    limits.check_attention(4000, 16)


def test_the_vectors_of_many_chunks_are_counted_together(warm, engine, function):
    warm()
    engine.results = lambda items: [[[[0.0] * 700] * 100]] * len(items)
    embed = pipeline("feature-extraction", model="org/name")
    embed(["x"] * 80)
    with pytest.raises(Unprocessable, match=r"numbers.*pooling"):
        embed(["x" * 200_000] * 200)


def test_work_that_goes_past_the_time_out_ends_as_an_answer():
    class Context:
        def __init__(self, milliseconds):
            self.get_remaining_time_in_millis = lambda: milliseconds

    deadline.begin(Context(60_000))
    deadline.check()
    deadline.begin(Context(0))
    with pytest.raises(Unprocessable, match="timeoutSeconds"):
        deadline.check()
    deadline.end()
    deadline.check()


def test_an_endpoint_says_when_its_time_is_up(capsys):
    @endpoint
    def handler(text: str):
        deadline.check()
        return text

    class Context:
        aws_request_id = "x"
        left = 0

        def get_remaining_time_in_millis(self):
            return self.left

    context = Context()
    for left, status in ((60_000, 200), (0, 422), (60_000, 200)):
        context.left = left
        assert handler({"text": "a"}, context)["statusCode"] == status
        deadline.check()  # it ended with its request


LENGTHS = st.lists(st.integers(0, 600), max_size=60)
BOUNDS = st.integers(1, 1024)


@given(LENGTHS, BOUNDS)
def test_every_input_is_in_one_batch_and_no_batch_is_over_the_bound(lengths, bound):
    groups = batches(lengths, bound)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert longest * len(group) <= bound or len(group) == 1
        assert lengths[group[0]] == longest


@given(LENGTHS, BOUNDS)
def test_inputs_run_by_length_longest_first(lengths, bound):
    ordered = [lengths[index] for group in batches(lengths, bound) for index in group]
    assert ordered == sorted(lengths, reverse=True)


@given(LENGTHS, BOUNDS)
def test_results_come_in_the_order_of_the_inputs(lengths, bound):
    items = list(enumerate(lengths))
    assert run_batches(items, lengths, lambda group: group, bound) == items


def test_like_lengths_share_a_batch():
    assert batches([5, 100, 6, 99], 200) == [[1, 3], [2, 0]]


@given(LENGTHS, BOUNDS, st.integers(0, 40))
def test_no_row_is_filled_up_with_more_than_is_allowed(lengths, bound, most):
    groups = batches(lengths, bound, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert max(lengths[group[0]] - lengths[index] for index in group) <= most


def test_a_short_input_is_not_filled_up_to_a_long_one():
    assert batches([500, 20, 18], 1024) == [[0, 1], [2]]
    assert batches([500, 20, 18], 1024, 8) == [[0], [1, 2]]
