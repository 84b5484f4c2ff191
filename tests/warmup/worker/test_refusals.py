"""What one script asks in vain of a model is refused to that script alone; the others are served."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_lambda.errors import ColdCache, ServingError
from hf_lambda.manifest import (
    Asked,
    RefusedUse,
    read_manifest,
    refusal_path,
    refusals,
    requested_of,
)
from hf_lambda.pipeline import Pipeline
from hf_lambda.tasks import canonical
from local.hub import Hub, serve
from tests import tiny_encoders
from tests.families import others_slow
from tests.warmup.support import Warming
from warmup.worker import suitability
from warmup.worker.untrained import compare

MODEL = {"model": "org/model", "revision": None, "engine": "torch"}
GOOD = {**MODEL, "task": "text-classification"}
IN_VAIN: dict[str, tuple[dict[str, Any], str]] = {
    "a head that is not there": ({**MODEL, "task": "fill-mask"}, "untrained for fill-mask"),
    "another head": ({**MODEL, "task": "ner"}, "not for token-classification"),
    "no entailment": ({**MODEL, "task": "zero-shot-classification"}, "no label that begins with 'entail'"),
    "files that are not there": (
        {**MODEL, "task": "feature-extraction", "files": ["*.gguf"]},
        "has no file that fits *.gguf",
    ),
    "an adapter that is not there": (
        {**MODEL, "task": "text-classification", "engine": "onnx", "adapter": "org/nothing"},
        "org/nothing",
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_encoders.build("bert", tmp_path_factory.mktemp("model") / "model", labels=["NO", "YES"])
    return tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")


@pytest.fixture
def models(models: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(model, models / "org" / "model")
    monkeypatch.setattr(suitability, "_compare", lambda snapshot, tasks, job: compare(snapshot, tasks))
    return models


@pytest.fixture
def pushed(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it once `models` has changed: from then on the Hub has that."""
    with contextlib.ExitStack() as stack:

        def push() -> None:
            monkeypatch.setenv("HF_ENDPOINT", stack.enter_context(serve(Hub(models))).url)

        yield push


def pipeline_of(warming: Warming, entry: dict[str, Any]) -> Pipeline:
    task, options = canonical(entry["task"]), {"engine": entry["engine"]}
    return Pipeline(task, entry["model"], None, options, {"MODEL_CACHE": str(warming.cache)})


def progress_of(state: dict[str, Any]) -> Any:
    return state["models"]["org/model@main"]


@pytest.mark.parametrize("order", others_slow([1, -1], 1))
@pytest.mark.parametrize("case", IN_VAIN)
def test_the_others_of_a_model_are_served(warming: Warming, models: Path, case: str, order: int) -> None:
    in_vain, said = IN_VAIN[case]
    for _ in range(2):
        state = warming.warm(*[GOOD, in_vain][::order])
        assert state["state"] == "done", state
        (refused,) = progress_of(state)["result"]["refused"]
        assert said in refused["reason"].replace("has no trained weights", "untrained")
        assert pipeline_of(warming, GOOD)("a text")[0]["label"] in ("NO", "YES")
    asked = Asked(refused["task"], in_vain["engine"], requested_of("auto", in_vain.get("adapter")))
    with pytest.raises(ColdCache, match="org/model at main was refused by the warm-up"):
        read_manifest(warming.cache, "org/model", None, asked=asked)
    if in_vain.keys() == GOOD.keys():  # no other option is one of a pipeline for a classifier
        with pytest.raises(ServingError, match="org/model at main was refused by the warm-up") as caught:
            pipeline_of(warming, in_vain)("a text [MASK]", **_labels(in_vain))
        assert caught.value.status == 503 and refused["reason"] in str(caught.value)
    answer = warming.invoke("status", GOOD)
    assert [each["reason"] for each in answer["models"][0]["refused"]] == [refused["reason"]]
    assert warming.warm(GOOD)["state"] == "done"
    assert refusals(warming.cache, "org/model", None)[0].reason == refused["reason"]  # nobody took it back


def _labels(entry: dict[str, Any]) -> dict[str, Any]:
    return {"candidate_labels": ["a"]} if entry["task"].startswith("zero-shot") else {}


def test_a_use_that_is_mended_is_no_longer_refused(
    warming: Warming, models: Path, pushed: Callable[[], None]
) -> None:
    wrong = {**MODEL, "task": "fill-mask"}
    warming.warm(GOOD, wrong)
    shutil.rmtree(models / "org" / "model")
    folder = tiny_encoders.build("bert", models / "org" / "model")
    tiny_encoders.save_head(folder, "AutoModelForMaskedLM")
    pushed()
    state = warming.warm(wrong)
    assert state["state"] == "done" and "refused" not in progress_of(state)["result"]
    assert not refusal_path(warming.cache, "org/model", None).exists()


def test_where_every_use_is_refused_nothing_is_published_and_each_has_its_own_reason(
    warming: Warming, models: Path
) -> None:
    wrong = [IN_VAIN[case][0] for case in ("a head that is not there", "no entailment")]
    error = warming.error(*wrong)
    assert error["kind"] == "untrained head"
    assert warming.manifest("org/model") is None
    said = {each.task: each.reason for each in refusals(warming.cache, "org/model", None)}
    assert "fill-mask" in said["fill-mask"] and "entail" in said["zero-shot-classification"]
    with pytest.raises(ColdCache, match="is not in the model cache"):
        read_manifest(warming.cache, "org/model", None, asked=Asked("text-classification", "auto", "auto"))


def as_masked_lm(folder: Path) -> None:
    shutil.rmtree(folder)
    tiny_encoders.save_head(tiny_encoders.build("bert", folder), "AutoModelForMaskedLM")


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("becomes", [as_masked_lm, without_weights])
def test_a_new_commit_that_is_refused_for_one_script_leaves_all_at_the_old_one(
    warming: Warming, models: Path, pushed: Callable[[], None], becomes: Callable[[Path], None]
) -> None:
    vectors = {**MODEL, "task": "feature-extraction"}
    assert warming.warm(GOOD, vectors)["state"] == "done"
    before = warming.manifest("org/model")
    becomes(models / "org" / "model")
    pushed()
    for _ in range(2):
        error = warming.error(GOOD, vectors)
        assert warming.manifest("org/model") == before
        assert pipeline_of(warming, GOOD)("a text")[0]["label"] in ("NO", "YES")
    if becomes is as_masked_lm:
        assert "which is refused for text-classification" in error["message"]
        assert "goes on serving. org/model has no trained weights" in error["message"]


def test_what_was_refused_before_too_keeps_nobody_from_the_new_commit(
    warming: Warming, models: Path, pushed: Callable[[], None]
) -> None:
    wrong = {**MODEL, "task": "fill-mask"}
    warming.warm(GOOD, wrong)
    before = warming.manifest("org/model")
    (models / "org" / "model" / "config.json").write_text(
        (models / "org" / "model" / "config.json").read_text() + "\n"
    )
    pushed()
    assert warming.warm(GOOD, wrong)["state"] == "done"
    assert warming.manifest("org/model") != before


def test_a_refusal_of_an_earlier_version_holds_for_whatever_is_asked(warming: Warming, models: Path) -> None:
    path = refusal_path(warming.cache, "org/model", None)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"reason": "org/model is an adapter"}))
    assert refusals(warming.cache, "org/model", None) == [RefusedUse(reason="org/model is an adapter")]
    with pytest.raises(ColdCache, match="was refused by the warm-up: org/model is an adapter"):
        pipeline_of(warming, GOOD)("a text")
    assert warming.warm(GOOD)["state"] == "done"
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"uses": 5}', '{"uses": [5]}', '{"uses": [{"task": 5}]}', '{"reason": 5}']
)
def test_a_refusal_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = refusal_path(tmp_path, "org/model", None)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert refusals(tmp_path, "org/model", None) == []
