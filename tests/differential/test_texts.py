"""Every task of text, family and engine against transformers' own pipelines, over calls that nobody wrote.

transformers is the judge: its answers are ours, in values and shape, and what it raises on is refused.
Its answers to long texts of token-classification are those with a stride, which is the default here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers

from hf_lambda import onnx_engine, torch_engine
from hf_lambda.tasks import AUTO_CLASSES, head_of
from tests import tiny_encoders
from tests.differential.calls import TASKS, Call, calls
from tests.differential.judging import Compared, differences, pipeline_over
from warmup.prepare import PrepareRequest, prepare

QUICK, THOROUGH = 12, 30
NLI = ["contradiction", "neutral", "entailment"]
QUICK_FAMILIES = dict(zip(TASKS, ("bert", "roberta", "distilbert", "albert", "bert"), strict=True))


class ComparedTexts(Compared):
    """One model: transformers' pipeline, and ours over both engines."""

    def __init__(self, task: str, family: str, folder: Path) -> None:
        labels = NLI if task == "zero-shot-classification" else tiny_encoders.LABELS
        snapshot = tiny_encoders.build(family, folder / "snapshot", labels=labels)
        tiny_encoders.save_head(snapshot, AUTO_CLASSES[head_of(task)])
        request = PrepareRequest(task, "a/b", "c" * 40, snapshot, precision="fp32")
        prepared = Path(prepare(request, into=folder, isolated=False).path)
        self._task = task
        self._theirs = transformers.pipeline(task, model=str(snapshot), device="cpu")
        tokenizer = self._theirs.tokenizer
        self.mask = tokenizer.mask_token
        self._stride = (tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()) // 4
        self.ours = {
            "onnx": pipeline_over(task, onnx_engine.load(task, prepared)),
            "torch": pipeline_over(task, torch_engine.load(task, snapshot)),
        }

    def judged(self, call: Call) -> Any:
        """transformers' answer; raises what it raises."""
        parameters = dict(call.parameters)
        if self._task == "feature-extraction":
            parameters.pop("batch_size", None)  # its batches are answered with the vectors of their padding
        if self._task == "token-classification":
            parameters.setdefault("stride", self._stride)
            if parameters.get("aggregation_strategy") == "none":
                del parameters["aggregation_strategy"]  # refused beside a stride by name, done without
        answer = self._theirs(call.inputs, **parameters)
        if self._task == "fill-mask" and isinstance(call.inputs, list) and len(call.inputs) == 1:
            return [answer]  # the one pipeline that takes a list of one apart; here a list gives a list
        return answer


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], ComparedTexts]]:
    made: dict[tuple[str, str], ComparedTexts] = {}

    def make(task: str, family: str) -> ComparedTexts:
        if (task, family) not in made:
            made[task, family] = ComparedTexts(task, family, tmp_path_factory.mktemp(family))
        return made[task, family]

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    yield make


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("task", TASKS)
def test_generated_calls_are_answered_as_transformers_answers_them(compared, task, engine):
    models = compared(task, QUICK_FAMILIES[task])
    assert differences(models, engine, calls(task, models.mask, 0, QUICK)) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", tiny_encoders.FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_every_family_answers_generated_calls_as_transformers_does(compared, task, family):
    models = compared(task, family)
    for engine in models.ours:
        assert differences(models, engine, calls(task, models.mask, 1, THOROUGH)) == []


@pytest.mark.parametrize("delimiter", ["", " ", "--", None])
@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_words_are_joined_by_what_is_given(compared, engine, delimiter):
    task = "token-classification"
    parameters: dict[str, Any] = {
        "is_split_into_words": True,
        "ignore_labels": [],
        "delimiter": delimiter,
    }
    call = Call([["Marie", "Curie", "worked", "in", "Paris"]], parameters)
    assert differences(compared(task, QUICK_FAMILIES[task]), engine, [call]) == []
