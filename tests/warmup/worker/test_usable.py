"""Repositories that cannot be a model: the reason in a sentence of ours, by warm-up and endpoint."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_lambda.errors import ColdCache
from hf_lambda.manifest import read_manifest
from tests import tiny_encoders
from tests.warmup.support import Warming
from warmup.worker.untrained import Unusable, check_numbers, untrained_for

BAD = {"model": "org/bad", "revision": None, "task": "text-classification", "engine": "torch"}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_encoders.build("bert", tmp_path_factory.mktemp("good") / "model", labels=["NO", "YES"])
    return tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")


@pytest.fixture
def models(models: Path, good: Path) -> Path:
    shutil.copytree(good, models / "org" / "bad")
    return models


def weights(change: Callable[[dict[str, torch.Tensor]], object], form: str = "") -> Callable[[Path], None]:
    """form: "" keeps safetensors, "zip" and "legacy" are the formats of a pickle."""

    def apply(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        if form:
            (folder / "model.safetensors").unlink()
            zipped = form == "zip"
            torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
        else:
            save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return apply


def cut(share: float) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: int(len(content) * share)])

    return apply


def as_adapter(folder: Path, base: str = "org/base", revision: str | None = None) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    config = {"base_model_name_or_path": base, "revision": revision}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(2)}, folder / "adapter_model.safetensors")


def without_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    listed = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))


def cut_pickle(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    content = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(content[: len(content) // 2])


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "adapter": (
        as_adapter,
        'where it is LoRA: model="org/base", revision=... (pin it), adapter="org/bad", engine="onnx"',
    ),
    "adapter of a commit": (
        partial(as_adapter, revision="a" * 40),
        "org/bad is an adapter of org/base, not a model: name the model itself, and the adapter beside it "
        f'where it is LoRA: model="org/base", revision="{"a" * 40}", adapter="org/bad"',
    ),
    "adapter of a folder": (
        partial(as_adapter, base="/home/me/base", revision="main"),
        "org/bad is an adapter, not a model",
    ),
    "pointer": (
        lambda folder: (folder / "model.safetensors").write_bytes(POINTER),
        "org/bad holds a pointer of Git LFS in the place of model.safetensors: the file itself was never",
    ),
    "pointer of a tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_bytes(POINTER),
        "in the place of tokenizer.json",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "org/bad has no config.json"),
    "broken config": (
        lambda folder: (folder / "config.json").write_text("{not json"),
        "org/bad has a config.json that is not JSON",
    ),
    "config of another shape": (
        lambda folder: (folder / "config.json").write_text("[1]"),
        "org/bad has a config.json that is not an object",
    ),
    "half the weights": (cut(0.5), "org/bad has a model.safetensors that ends after"),
    "a tenth of the header": (cut(0.002), "org/bad has a model.safetensors that ends after"),
    "half the pickle": (cut_pickle, "org/bad has a pytorch_model.bin without the end"),
    "a shard that is not there": (
        without_a_shard,
        "org/bad lacks weight files that model.safetensors.index.json lists: model-00002-of-00002.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_named_by_the_warm_up_and_by_the_endpoint(warming: Warming, models: Path, case: str) -> None:
    spoil, said = CASES[case]
    spoil(models / "org" / "bad")
    error = warming.error(BAD)
    assert error["kind"] == "unusable" and said in error["message"]
    with pytest.raises(ColdCache, match="org/bad at main was refused by the warm-up: org/bad") as caught:
        read_manifest(warming.cache, "org/bad", None)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state["classifier.weight"].fill_(float("nan")), "holds NaN"),
        (lambda state: state["classifier.weight"][0].fill_(float("-inf")), "holds infinity"),
        (lambda state: state["bert.pooler.dense.bias"][0].fill_(float("nan")), "bert.pooler.dense.bias in"),
        (
            lambda state: state.update({"classifier.weight": torch.zeros(5, 32)}),
            "classifier.weight is 5x32, BertForSequenceClassification needs 2x32",
        ),
    ],
)
@pytest.mark.usefixtures("in_process")
def test_weights_that_cannot_answer_are_named(
    warming: Warming, models: Path, change: Callable[[dict[str, torch.Tensor]], None], said: str
) -> None:
    weights(change)(models / "org" / "bad")
    error = warming.error(BAD)
    assert error["kind"] == "unusable" and said in error["message"]


@pytest.mark.parametrize("form", ["", "zip", "legacy"])
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_found_in_every_form_of_weights(
    models: Path, good: Path, form: str, bad: str
) -> None:
    folder = models / "org" / "bad"
    weights(lambda state: None, form)(folder)
    check_numbers(folder)
    shutil.copy(good / "model.safetensors", folder)
    weights(lambda state: state["bert.pooler.dense.weight"][3, 2:5].fill_(float(bad)), form)(folder)
    with pytest.raises(Unusable, match=r"bert\.pooler\.dense\.weight in .* holds (NaN|infinity)"):
        check_numbers(folder)


class Code:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("zipped", "said"), [(True, "alone: posix.system would run. It was"), (False, "alone")]
)
def test_a_pickle_that_holds_code_is_named_and_not_run(
    models: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool, said: str
) -> None:
    folder = models / "org" / "bad"
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"x": Code()}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    for check in (check_numbers, lambda folder: untrained_for("text-classification", folder)):
        with pytest.raises(Unusable, match=rf"pytorch_model\.bin cannot be read as weights {said}"):
            check(folder)
    assert not (folder / "ran").exists()


@pytest.mark.slow
def test_code_in_a_pickle_is_what_the_warm_up_and_the_endpoint_name(warming: Warming, models: Path) -> None:
    folder = models / "org" / "bad"
    (folder / "model.safetensors").unlink()
    torch.save({"x": Code()}, folder / "pytorch_model.bin")
    error = warming.error(BAD)
    assert error["kind"] == "unusable" and "posix.system would run" in error["message"]
    with pytest.raises(ColdCache, match=r"refused by the warm-up: pytorch_model\.bin cannot be read"):
        read_manifest(warming.cache, "org/bad", None)


def test_the_pickle_beside_safetensors_is_not_what_is_loaded_and_modules_of_a_sentence_model_are(
    models: Path,
) -> None:
    folder = models / "org" / "bad"
    torch.save({"a.weight": torch.tensor([float("nan")])}, folder / "pytorch_model.bin")
    torch.save({"lr": 1.0}, folder / "training_args.bin")
    check_numbers(folder)
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text("{}")
    torch.save({"linear.weight": torch.tensor([[float("nan")]])}, folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(Unusable, match=r"linear\.weight in 2_Dense/pytorch_model\.bin holds NaN"):
        check_numbers(folder)


@pytest.mark.usefixtures("in_process")
def test_a_refusal_ends_with_the_warm_up_that_succeeds(warming: Warming, models: Path, good: Path) -> None:
    as_adapter(models / "org" / "bad")
    warming.error(BAD)
    (refused,) = (warming.cache / "refusals").rglob("*.json")
    pruned = warming.invoke("prune", BAD, dry_run=True)["models"]["cache"]["result"]["removed"]
    assert str(refused.relative_to(warming.cache)) not in pruned
    shutil.rmtree(models / "org" / "bad")
    shutil.copytree(good, models / "org" / "bad")
    assert warming.warm(BAD)["state"] == "done"
    assert not refused.exists()
    assert read_manifest(warming.cache, "org/bad", None).model == "org/bad"


def test_a_refusal_of_a_model_that_no_script_names_any_more_is_pruned(warming: Warming, models: Path) -> None:
    as_adapter(models / "org" / "bad")
    warming.error(BAD)
    removed = warming.invoke("prune", {**BAD, "model": "org/tiny"})["models"]["cache"]["result"]["removed"]
    assert any(path.startswith("refusals/") for path in removed)


def test_what_another_try_may_change_is_no_refusal(warming: Warming, impatient: None) -> None:
    warming.hub.fail("/api/models/org/tiny", "server-error", times=99)
    warming.error()
    with pytest.raises(ColdCache, match="is not in the model cache"):
        read_manifest(warming.cache, "org/tiny", None)
