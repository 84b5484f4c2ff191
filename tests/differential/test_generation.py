"""Every family of language models and engine against transformers, greedily, over generated calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from hf_lambda import onnx_engine, torch_engine
from tests import tiny_decoders
from tests.differential.calls import Call, calls
from tests.differential.judging import Compared, differences, pipeline_over

TASK = "text-generation"
QUICK, THOROUGH = 6, 12


class ComparedGeneration(Compared):
    def __init__(self, family: str, folder: Path) -> None:
        snapshot = tiny_decoders.snapshot(family, folder / "snapshot")
        prepared = tiny_decoders.prepared(snapshot, folder / "prepared")
        self._theirs = transformers.pipeline(TASK, model=str(snapshot), device="cpu")
        self.ours = {
            "onnx": pipeline_over(TASK, onnx_engine.load(TASK, prepared)),
            "torch": pipeline_over(TASK, torch_engine.load(TASK, snapshot)),
        }

    def judged(self, call: Call) -> Any:
        return self._theirs(call.inputs, **call.parameters)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ComparedGeneration]:
    return lambda family: ComparedGeneration(family, tmp_path_factory.mktemp(family))


@pytest.mark.slow
def test_generated_prompts_are_continued_as_transformers_continues_them(compared):
    models = compared("llama")
    for engine in models.ours:
        assert differences(models, engine, calls(TASK, None, 0, QUICK)) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", tiny_decoders.FAMILIES)
def test_every_family_continues_generated_prompts_as_transformers_does(compared, family):
    models = compared(family)
    for engine in models.ours:
        assert differences(models, engine, calls(TASK, None, 1, THOROUGH)) == []
