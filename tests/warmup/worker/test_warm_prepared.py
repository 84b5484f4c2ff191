"""Preparing as part of a warm-up: what goes into the manifest, what an interruption keeps."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from hf_lambda.manifest import NotPreparedEntry, PreparedEntry, repo_folder
from local.hub import Hub, serve
from tests.warmup.support import KEY, TINY, Context, Warming
from warmup.prepare import (
    MEMORY_MB,
    RECIPE,
    NotPrepared,
    PrepareFailed,
    PrepareRequest,
    Tolerance,
    Unfinished,
)
from warmup.worker.warm import tolerance_of

AUTO = {**TINY, "engine": "auto"}


class Preparer:
    """Stands in for the export, which takes minutes; its answers are set by the test."""

    def __init__(self) -> None:
        self.calls: list[PrepareRequest] = []
        self.remaining_s: float | None = None
        self.outcome: Exception | None = None

    def __call__(self, request: PrepareRequest, *, into: Path, **options: Any) -> PreparedEntry:
        self.calls.append(request)
        self.remaining_s = options["remaining_s"]()
        options["progress"]("export")
        if self.outcome:
            raise self.outcome
        folder = into / f"{request.head}-{request.precision}"
        folder.mkdir(parents=True, exist_ok=True)
        return PreparedEntry(
            head=request.head,
            requested=request.precision,
            precision="int8",
            path=str(folder),
            machine=platform.machine(),
            onnxruntime=version("onnxruntime"),
            recipe=RECIPE,
            bytes=1,
            peak_mb=9,
            seconds=2.0,
        )


@pytest.fixture
def preparer(monkeypatch: pytest.MonkeyPatch) -> Preparer:
    stand_in = Preparer()
    monkeypatch.setattr("warmup.worker.warm.prepare", stand_in)
    return stand_in


def test_a_prepared_model_is_in_manifest_and_report_with_a_path_below_the_cache(
    warming: Warming, preparer: Preparer
) -> None:
    result = warming.warm(AUTO)["models"][KEY]["result"]
    manifest = warming.manifest()
    assert manifest is not None
    folder = f"prepared/{repo_folder('org/tiny')}/{manifest.commit}/sequence-classification-auto"
    assert [entry.path for entry in manifest.prepared] == [folder]
    assert result["prepared"] == [entry.to_json() for entry in manifest.prepared]
    assert manifest.not_prepared == ()


def test_it_is_given_the_snapshot_the_samples_and_the_time_left(warming: Warming, preparer: Preparer) -> None:
    warming.warm({**AUTO, "precision": "fp32", "samples": ["Good.", "Bad."]})
    [call] = preparer.calls
    manifest = warming.manifest()
    assert manifest is not None
    assert call.snapshot == warming.cache / manifest.snapshot
    assert (call.precision, call.samples) == ("fp32", ("Good.", "Bad."))
    assert (call.repo_id, call.commit) == ("org/tiny", manifest.commit)
    assert 800 < (preparer.remaining_s or 0) < 900


def test_a_folder_for_several_functions_has_to_fit_the_smallest_and_hold_the_longest_text(
    warming: Warming, preparer: Preparer
) -> None:
    warming.warm(
        {**AUTO, "memory_mb": 2048, "max_context": 512}, {**AUTO, "memory_mb": 1024, "max_context": 1024}
    )
    assert [(call.memory_mb, call.max_context) for call in preparer.calls] == [(1024, 1024)]
    warming.warm({**AUTO, "memory_mb": 4096, "max_context": 512}, AUTO)
    assert (preparer.calls[-1].memory_mb, preparer.calls[-1].max_context) == (4096, None)
    warming.warm(AUTO)
    assert preparer.calls[-1].memory_mb == MEMORY_MB


def test_an_adapter_is_fetched_for_the_model_that_it_is_merged_into(
    warming: Warming, preparer: Preparer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "org" / "lora").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "optimizer.pt"):
        (models / "org" / "lora" / name).write_text(f'{{"{name}": 1}}')
    asked = {**AUTO, "adapter": "org/lora"}
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        state = warming.warm(asked, AUTO)
    assert (state["state"], list(state["models"])) == ("done", [KEY])
    with_adapter, without = preparer.calls
    assert with_adapter.adapter is not None and without.adapter is None
    assert (with_adapter.adapter.repo_id, with_adapter.adapter.revision) == ("org/lora", None)
    files = {path.name for path in with_adapter.adapter.path.iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}
    assert warming.invoke("prepare", asked)["models"][KEY]["error"]["kind"] == "cold"


def test_an_endpoint_on_torch_is_not_prepared(warming: Warming, preparer: Preparer) -> None:
    warming.warm(TINY)
    assert preparer.calls == []


def test_two_uses_of_one_head_are_prepared_once_and_two_precisions_twice(
    warming: Warming, preparer: Preparer
) -> None:
    again = {**AUTO, "task": "sentiment-analysis"}
    warming.warm(AUTO, again, {**AUTO, "precision": "fp32"})
    assert [(call.task, call.precision) for call in preparer.calls] == [
        ("text-classification", "auto"),
        ("text-classification", "fp32"),
    ]


def test_what_cannot_be_prepared_is_published_for_torch_with_its_reason(
    warming: Warming, preparer: Preparer, log
) -> None:
    preparer.outcome = NotPrepared("no recipe for model_type 'mystery'")
    state = warming.warm(AUTO)
    manifest = warming.manifest()
    assert state["state"] == "done" and manifest is not None
    assert manifest.prepared == ()
    assert manifest.not_prepared == (
        NotPreparedEntry(
            head="sequence-classification",
            requested="auto",
            reason="no recipe for model_type 'mystery'",
            task="text-classification",
        ),
    )
    assert "not prepared" in {line["event"] for line in log()}


def test_running_out_of_time_in_prepare_leaves_a_cache_that_torch_can_serve(
    warming: Warming, preparer: Preparer
) -> None:
    preparer.outcome = Unfinished("the step 'export' needs more than 300 s")
    state = warming.warm(AUTO)
    assert state["state"] == "incomplete"
    assert state["models"][KEY]["left"] == "text-classification: export"
    manifest = warming.manifest()
    assert manifest is not None and manifest.prepared == ()
    preparer.outcome = None
    assert warming.warm(AUTO)["state"] == "done"
    assert len(warming.manifest().prepared) == 1  # type: ignore[union-attr]


def test_a_new_commit_does_not_take_over_before_it_is_prepared(
    warming: Warming, preparer: Preparer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming.warm(AUTO)
    old = warming.manifest()
    (models / "org" / "tiny" / "config.json").write_text('{"model_type": "bert", "v": 2}')
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        preparer.outcome = Unfinished("no time")
        warming.warm(AUTO)
        assert warming.manifest() == old
        preparer.outcome = None
        warming.warm(AUTO)
    new = warming.manifest()
    assert new is not None and old is not None
    assert new.commit != old.commit and new.commit in new.prepared[0].path


@pytest.mark.parametrize("engine", ["auto", "onnx"])
def test_a_failure_that_says_nothing_of_the_model_leaves_the_older_commit_and_fails(
    warming: Warming, preparer: Preparer, models: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    entry = {**AUTO, "engine": engine}
    warming.warm(entry)
    old = warming.manifest()
    (models / "org" / "tiny" / "config.json").write_text('{"model_type": "bert", "v": 2}')
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        preparer.outcome = PrepareFailed("the step 'export' was killed (signal 9)")
        error = warming.error(entry)
        assert error["kind"] == "not prepared"
        assert "was not prepared for text-classification: the step 'export' was killed" in error["message"]
        assert warming.manifest() == old
        preparer.outcome = None
        assert warming.warm(entry)["state"] == "done"
    assert warming.manifest() != old


def test_a_first_failure_leaves_a_cache_that_torch_can_serve_and_fails(
    warming: Warming, preparer: Preparer
) -> None:
    preparer.outcome = PrepareFailed("no space")
    assert warming.error(AUTO)["kind"] == "not prepared"
    manifest = warming.manifest()
    assert manifest is not None and manifest.prepared == () == manifest.not_prepared


def test_an_endpoint_that_needs_onnxruntime_is_not_moved_to_a_commit_without_it(
    warming: Warming, preparer: Preparer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming.warm({**AUTO, "engine": "onnx"})
    old = warming.manifest()
    (models / "org" / "tiny" / "config.json").write_text('{"model_type": "bert", "v": 2}')
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        preparer.outcome = NotPrepared("no recipe for model_type 'mystery'")
        error = warming.error({**AUTO, "engine": "onnx"})
        assert error["kind"] == "not prepared"
        assert "goes on serving. no recipe for model_type 'mystery'" in error["message"]
        assert warming.manifest() == old
        assert warming.warm(AUTO)["state"] == "done"  # torch may serve the new one
    new = warming.manifest()
    assert new is not None and old is not None and new.commit != old.commit and new.prepared == ()


def test_what_another_use_prepared_of_the_same_commit_stays(warming: Warming, preparer: Preparer) -> None:
    warming.warm(AUTO)
    warming.warm({**AUTO, "precision": "fp32"})
    manifest = warming.manifest()
    assert manifest is not None
    assert {entry.requested for entry in manifest.prepared} == {"auto", "fp32"}
    warming.warm(TINY)
    assert len(warming.manifest().prepared) == 2  # type: ignore[union-attr]


def test_what_is_refused_after_a_change_is_no_longer_served_as_it_was(
    warming: Warming, preparer: Preparer
) -> None:
    warming.warm(AUTO)
    preparer.outcome = NotPrepared("onnxruntime and transformers disagree")
    warming.warm({**AUTO, "samples": ["A text that shows it."]})
    manifest = warming.manifest()
    assert manifest is not None
    assert manifest.prepared == ()
    assert [entry.reason for entry in manifest.not_prepared] == ["onnxruntime and transformers disagree"]


def test_what_an_older_recipe_made_is_forgotten(
    warming: Warming, preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming.warm(AUTO)
    monkeypatch.setattr("warmup.worker.warm.RECIPE", RECIPE + 1)
    warming.warm(TINY)
    assert warming.manifest().prepared == ()  # type: ignore[union-attr]


def test_a_folder_that_several_uses_share_is_checked_with_the_samples_of_all(
    warming: Warming, preparer: Preparer
) -> None:
    zero_shot = {**AUTO, "task": "sentiment-analysis", "samples": ["Three."]}
    on_torch = {**AUTO, "engine": "torch", "samples": ["Four."]}
    fp32 = {**AUTO, "precision": "fp32", "samples": ["Five."]}
    warming.warm({**AUTO, "samples": ["One.", "Two."]}, AUTO, zero_shot, on_torch, fp32)
    assert [call.samples for call in preparer.calls] == [("One.", "Two.", "Three."), ("Five.",)]


def test_prepared_folders_that_are_gone_are_forgotten(warming: Warming, preparer: Preparer) -> None:
    warming.warm(AUTO)
    manifest = warming.manifest()
    assert manifest is not None
    (warming.cache / manifest.prepared[0].path).rmdir()
    warming.warm(TINY)
    assert warming.manifest().prepared == ()  # type: ignore[union-attr]


def test_too_little_time_before_prepare_stops_there(warming: Warming, preparer: Preparer) -> None:
    warming.context = Context(lambda: 900_000 if warming.manifest() is None else 0)
    assert warming.warm(AUTO)["state"] == "incomplete"
    assert preparer.calls == []


def test_the_tolerance_comes_from_the_environment() -> None:
    assert tolerance_of({}) == Tolerance()
    some = '{"probability": 0.1, "sameText": 0.5}'
    assert tolerance_of({"PREPARE_TOLERANCE": some}) == Tolerance(probability=0.1, same_text=0.5)
    assert tolerance_of({"PREPARE_TOLERANCE": '{"cosine": 0.9}'}) == Tolerance(cosine=0.9)


def test_a_model_is_prepared_with_the_tolerance_of_the_function(
    warming: Warming, preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREPARE_TOLERANCE", '{"probability": 0.2}')
    warming.warm(AUTO)
    assert preparer.calls[0].tolerance == Tolerance(probability=0.2)


@pytest.mark.slow
def test_a_real_model_is_exported_checked_and_found_prepared_by_the_next_run(
    warming: Warming, models: Path, monkeypatch: pytest.MonkeyPatch, log: Any
) -> None:
    _distilbert(models / "org" / "real")
    entry = {**AUTO, "model": "org/real"}
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        state = warming.warm(entry)
        first = [line["step"] for line in log() if line["event"] == "prepare"]
        again = warming.warm(entry)
        second = [line["step"] for line in log() if line["event"] == "prepare"]
    [prepared] = state["models"]["org/real@main"]["result"]["prepared"]
    assert prepared["agreement"]["fp32"]["probability_difference"] < 1e-4
    assert (warming.cache / prepared["path"] / "model.onnx").is_file()
    assert again["models"]["org/real@main"]["result"]["prepared"] == [prepared]
    assert first[:3] == ["export", "optimize", "check-fp32"] and second == []


def _distilbert(folder: Path) -> None:
    from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForSequenceClassification

    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "love", "this", "good", "bad", "."]
    BertTokenizerFast(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder)
    config = DistilBertConfig(vocab_size=len(words), dim=32, hidden_dim=64, n_layers=2, n_heads=2)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
