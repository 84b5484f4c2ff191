"""Which engine answers, and why not the one that was asked for."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest

from hf_lambda.engines import choose, has_torch, installed_onnxruntime
from hf_lambda.errors import EngineUnavailable
from hf_lambda.manifest import Manifest, NotPreparedEntry, PreparedEntry

ENTRY = PreparedEntry(
    head="sequence-classification",
    requested="auto",
    precision="int8",
    path="prepared/models--org--name/abc/x",
    machine="x86_64",
    onnxruntime="1.32.0",
)


def manifest(*prepared, not_prepared=()):
    return Manifest("org/name", "main", "c" * 40, "hub/x", (), 0, "", prepared, tuple(not_prepared))


def chosen(known, **changes):
    options = {
        "task": "text-classification",
        "engine": "auto",
        "requested": "auto",
        "cache": Path("/cache"),
        "environ": {"WARM_COMMAND": "make warm"},
        "onnxruntime": "1.32.0",
        "torch": True,
        "machine": "x86_64",
    }
    return choose(known, **{**options, **changes})


@pytest.mark.parametrize("engine", ["auto", "onnx"])
def test_a_prepared_model_is_preferred(engine):
    choice = chosen(manifest(ENTRY), engine=engine)
    assert (choice.label, choice.prepared) == ("onnx-int8", Path("/cache/prepared/models--org--name/abc/x"))


def test_the_label_is_the_precision_that_was_published():
    assert chosen(manifest(replace(ENTRY, precision="fp32"))).label == "onnx-fp32"


def test_torch_is_taken_when_asked_for():
    choice = chosen(manifest(ENTRY), engine="torch")
    assert (choice.label, choice.prepared) == ("torch", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"requested": "fp32"},
        {"machine": "aarch64"},
        {"onnxruntime": "1.31.0"},
        {"onnxruntime": None},
        {"task": "fill-mask"},
    ],
)
def test_what_was_prepared_for_something_else_is_not_used(changes):
    assert chosen(manifest(ENTRY), **changes).label == "torch"
    with pytest.raises(EngineUnavailable, match=r'Warm it again \(make warm\), or set engine="torch"'):
        chosen(manifest(ENTRY), engine="onnx", **changes)


def test_the_reason_of_the_warm_up_is_passed_on():
    refused = NotPreparedEntry("sequence-classification", "auto", "labels differ")
    with pytest.raises(
        EngineUnavailable, match=r"org/name cannot answer: it was not prepared \(labels differ\)"
    ):
        chosen(manifest(not_prepared=[refused]), engine="onnx")


def test_the_mismatch_is_told():
    with pytest.raises(EngineUnavailable, match=r"prepared for precision auto, x86_64.* needs .*aarch64"):
        chosen(manifest(ENTRY), engine="onnx", machine="aarch64")


def test_an_image_without_torch_cannot_fall_back():
    with pytest.raises(EngineUnavailable, match=r"not prepared for text-classification.* image"):
        chosen(manifest(), torch=False)


def test_a_model_that_the_first_request_downloaded_is_served_by_torch():
    assert chosen(manifest(), engine="onnx", environ={"COLD_DOWNLOAD": "1"}).label == "torch"


def test_the_installed_version_is_the_one_that_its_metadata_has():
    assert installed_onnxruntime() == importlib.metadata.version("onnxruntime")
    assert has_torch()
