"""A prepared model of images behind a handler, as an endpoint serves it: events in, JSON out, no torch."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from hf_lambda.manifest import Manifest, write_manifest
from tests.media_support import base64_of, encoded, picture
from tests.tiny_media import LABELS, build
from warmup.prepare import PrepareRequest, prepare

ROOT = Path(__file__).parents[3]
COMMIT = "c" * 40
SCRIPT = """
import json, sys
from hf_lambda import Image, endpoint, pipeline

classify = pipeline("image-classification", model="org/vit", engine="onnx")


@endpoint
def handler(image: Image | list[Image], top_k: int = 5) -> object:
    return classify(image, top_k=top_k)


replies = [handler(event) for event in json.loads(sys.stdin.read())]
heavy = {"torch", "transformers", "tokenizers", "huggingface_hub", "soundfile"} & set(sys.modules)
print(json.dumps({"replies": replies, "heavy": sorted(heavy)}))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A model cache with one prepared ViT, as the warm-up leaves it."""
    cache = tmp_path_factory.mktemp("cache")
    snapshot = build(
        "vit", cache / "hub" / "models--org--vit" / "snapshots" / COMMIT, "ForImageClassification"
    )
    request = PrepareRequest("image-classification", "org/vit", COMMIT, snapshot)
    entry = prepare(request, into=cache / "prepared", isolated=False)
    assert (entry.machine, entry.onnxruntime) == (platform.machine(), version("onnxruntime"))
    manifest = Manifest(
        "org/vit", "main", COMMIT, str(snapshot.relative_to(cache)), (), 0, "2026-11-27", (entry,)
    )
    write_manifest(cache, manifest)
    return cache


def served(cache, *events):
    """Answers to `events`, one after the other, of a process of its own."""
    environ = {"MODEL_CACHE": str(cache), "PYTHONPATH": str(ROOT), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(events),
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_an_endpoint_answers_pictures_without_torch(cache):
    data = encoded(picture(60, 80), "JPEG")
    over_http = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"content-type": "image/jpeg"},
        "queryStringParameters": {"top_k": "2"},
        "body": base64_of(data),
        "isBase64Encoded": True,
    }
    direct = {"image": base64_of(data), "top_k": 2}
    several = {"inputs": [base64_of(data)] * 2, "parameters": {"top_k": 1}}
    damaged = {"image": base64_of(data[:-400])}
    answers = served(cache, direct, over_http, several, damaged)

    first, second, third, fourth = answers["replies"]
    assert first["statusCode"] == 200
    assert [each["label"] in LABELS for each in first["body"]] == [True, True]
    assert json.loads(second["body"]) == first["body"]
    assert third["body"] == [first["body"][:1]] * 2
    assert fourth["statusCode"] == 422
    assert answers["heavy"] == []
