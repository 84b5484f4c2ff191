"""A request that multiplies beyond what any endpoint can do is refused before a model is looked at."""

import pytest

from hf_lambda import pipeline
from hf_lambda.errors import Unprocessable
from hf_lambda.limits import MOST, MOST_STOPS, MOST_TEXTS
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
