"""coldDownload: the first request fetches, once, and leaves a manifest; the Hub's client is the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_lambda import cold
from hf_lambda.errors import ColdCache
from hf_lambda.manifest import manifest_path, read_manifest
from local.hub import Hub, serve
from tests.families import others_slow

ROOT = Path(__file__).parents[2]
DOWNLOAD = """
import os, pathlib, sys
from hf_lambda import cold
cold.download(pathlib.Path(os.environ["MODEL_CACHE"]), "org/name", None, os.environ)
"""
PLAIN = """
from transformers import pipeline
classify = pipeline("text-classification", model="org/name")

def handler(event, context):
    return {"statusCode": 200, "body": classify(event["text"])[0]}

answer = handler({"text": "we love this film"}, None)
assert answer["body"].keys() == {"label", "score"}, answer
"""


@pytest.fixture
def hub(tmp_path):
    """A Hub with org/name: two weight formats and files that nobody needs."""
    folder = tmp_path / "org-name"
    (folder / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "README.md", "onnx/model.onnx", "tf_model.h5"):
        (folder / name).write_text("{}")
    for name in ("model.safetensors", "pytorch_model.bin"):
        (folder / name).write_bytes(b"weights")
    return folder


def start(program, url, cache, **environ):
    known = {"PATH": os.environ["PATH"], "HOME": str(cache), "PYTHONPATH": str(ROOT)}
    known |= {"MODEL_CACHE": str(cache), "HF_HUB_CACHE": str(cache / "hub"), "HF_HOME": str(cache / "home")}
    known |= {"HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=known | environ, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


@pytest.mark.parametrize(
    ("left_out", "weights"),
    others_slow(
        [("", "model.safetensors"), ("model.safetensors", "pytorch_model.bin")], ("", "model.safetensors")
    ),
)
def test_one_weight_format_is_fetched_and_the_manifest_published(tmp_path, hub, left_out, weights):
    if left_out:
        (hub / left_out).unlink()
    with serve(Hub({"org/name": hub})) as running:
        finish(start(DOWNLOAD, running.url, tmp_path))
    manifest = read_manifest(tmp_path, "org/name", None)
    assert {file.path for file in manifest.files} == {"config.json", "tokenizer.json", weights}
    assert manifest.bytes == len(b"weights") + 4
    assert (manifest.snapshot_path(tmp_path) / weights).read_bytes() == b"weights"


@pytest.mark.slow
def test_cold_starts_side_by_side_ask_the_hub_no_more_than_one_does(tmp_path, hub):
    served = Hub({"org/name": hub})
    with serve(served) as running:
        finish(start(DOWNLOAD, running.url, tmp_path / "alone"))
        alone = len(served.asked)
        for process in [start(DOWNLOAD, running.url, tmp_path / "together") for _ in range(3)]:
            finish(process)
    assert len(served.asked) == 2 * alone


def test_files_that_arrive_damaged_are_not_served_and_the_answer_says_why(tmp_path, hub):
    served = Hub({"org/name": hub})
    served.fail("*/model.safetensors", "corrupt", times=9)
    with serve(served) as running, pytest.raises(ColdCache, match="has another SHA-256 than it should"):
        cold.download(tmp_path, "org/name", None, {"HF_ENDPOINT": running.url})
    assert not manifest_path(tmp_path, "org/name", None).exists()


def test_what_the_hub_says_no_to_is_a_503_with_its_reason(tmp_path, hub):
    with serve(Hub({"org/name": hub})) as running, pytest.raises(ColdCache, match="org/none is not at") as no:
        cold.download(tmp_path, "org/none", None, {"HF_ENDPOINT": running.url})
    assert no.value.status == 503


def test_a_cache_that_cannot_be_written_is_a_503(tmp_path, hub):
    (tmp_path / "cache").write_text("a file where the mount belongs")
    with serve(Hub({"org/name": hub})) as running, pytest.raises(ColdCache, match="Not a directory"):
        cold.download(tmp_path / "cache", "org/name", None, {"HF_ENDPOINT": running.url})


@pytest.mark.slow
def test_a_plain_script_answers_offline_from_what_was_fetched(tmp_path, tiny):
    served = Hub({"org/name": tiny("BertForSequenceClassification", num_labels=3)})
    with serve(served) as running:
        finish(start(DOWNLOAD, running.url, tmp_path))
        before = len(served.asked)
        finish(start(PLAIN, running.url, tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "other")))
    assert len(served.asked) == before > 0


def test_an_image_without_the_client_says_that_the_cache_is_cold(tmp_path, monkeypatch):
    for name in [each for each in sys.modules if each.startswith("warmup.worker.")]:
        monkeypatch.delitem(sys.modules, name)  # imported anew, as in a process that has not
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ColdCache, match=r"Warm it: make warm$"):
        cold.download(tmp_path, "org/name", None, {"WARM_COMMAND": "make warm"})
    assert not manifest_path(tmp_path, "org/name", None).exists()
