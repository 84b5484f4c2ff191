"""Models of images, prepared: the same answers as transformers' own pipelines, or a reason."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
import transformers

from hf_lambda import onnx_engine
from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.media.image import Image
from tests.media_support import assert_same, base64_of, encoded, picture
from tests.tiny_media import IMAGE_HEADS, build
from warmup.prepare import NotPrepared, PrepareRequest, Tolerance, prepare
from warmup.prepare.families import VISION

PARAMETERS: dict[str, dict[str, Any]] = {
    "object-detection": {"threshold": 0.2},
    "image-classification": {"top_k": 3},
}
FILES = [encoded(picture(60, 80)), encoded(picture(91, 47, seed=1), "JPEG"), encoded(picture(60, 80, seed=2))]
PARAMETERS["zero-shot-image-classification"] = {
    "candidate_labels": ["a cat", "two dogs", "a red bus of London"]
}
FAST = [
    ("image-classification", "vit"),
    ("zero-shot-image-classification", "clip"),
]
BUILT_AS = {"convnextv2": "convnext"}
SLOW = [(task, family) for task, known in VISION.items() for family in known if task in IMAGE_HEADS]


def made(tmp_path, task, family, precision="fp32", **options):
    """The entry of a tiny model, and its snapshot."""
    snapshot = build(BUILT_AS.get(family, family), tmp_path / "snapshot", IMAGE_HEADS[task])
    return prepared(tmp_path, task, snapshot, precision, **options), snapshot


def prepared(tmp_path, task, snapshot, precision="fp32", **options):
    request = PrepareRequest(task, "org/m", "c" * 40, snapshot, precision, **options)
    return prepare(request, into=tmp_path, isolated=False)


def is_same_as_transformers(tmp_path, task, family, files=FILES):
    entry, snapshot = made(tmp_path, task, family)
    assert entry.precision == "fp32"
    chosen = PARAMETERS.get(task, {})
    ours = onnx_engine.load(task, Path(entry.path))([Image(file) for file in files], **chosen)
    pipeline = transformers.pipeline(task, model=str(snapshot), device="cpu")
    for answer, file in zip(ours, files, strict=True):
        expected = pipeline(PIL.Image.open(io.BytesIO(file)), **chosen)
        if task == "depth-estimation":
            depth = expected["predicted_depth"]
            bounds = {"min_depth": float(depth.min()), "max_depth": float(depth.max())}
            expected = {"depth": expected["depth"], **bounds}
        assert_same(answer, expected, 1e-4)


@pytest.mark.parametrize(("task", "family"), FAST)
def test_a_prepared_model_answers_as_transformers_does(tmp_path, task, family):
    is_same_as_transformers(tmp_path, task, family)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "family"), [each for each in SLOW if each not in FAST])
def test_every_family_answers_as_transformers_does(tmp_path, task, family):
    is_same_as_transformers(tmp_path, task, family)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "family"),
    [("image-classification", "vit"), ("object-detection", "detr"), ("image-segmentation", "segformer")],
)
def test_real_photographs_are_answered_as_transformers_does(tmp_path, task, family):
    """Two JPEGs of 640 x 427, of a package that requirements/dev.txt pins: a pagoda and a dahlia."""
    found = importlib.util.find_spec("sklearn")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "datasets" / "images"
    files = [(folder / name).read_bytes() for name in ("china.jpg", "flower.jpg")]
    assert [Image(file).width for file in files] == [640, 640]
    is_same_as_transformers(tmp_path, task, family, files)


def test_int8_is_published_where_it_saves_and_agrees(tmp_path, monkeypatch):
    import tests.tiny_media as tiny

    monkeypatch.setitem(
        tiny.FAMILIES,
        "vit",
        lambda: (
            transformers.ViTConfig(
                hidden_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=512,
                image_size=32,
                patch_size=8,
            ),
            [transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})],
        ),
    )
    # Random weights: transformers itself is hardly ever sure of a class.
    wide = Tolerance(probability=0.25)
    entry, snapshot = made(tmp_path, "image-classification", "vit", precision="auto", tolerance=wide)
    assert (entry.precision, entry.reason) == ("int8", None)
    assert entry.agreement["int8"]["same_labels"] == 1.0
    (answer,) = onnx_engine.load("image-classification", Path(entry.path))([Image(FILES[0])])
    (theirs,) = [
        transformers.pipeline("image-classification", model=str(snapshot), device="cpu")(picture(60, 80))
    ]
    assert answer[0]["label"] == theirs[0]["label"]
    assert answer[0]["score"] == pytest.approx(theirs[0]["score"], abs=0.25)


def test_a_network_of_convolutions_stays_in_fp32_and_says_why(tmp_path):
    entry, _ = made(tmp_path, "image-classification", "resnet", precision="auto")
    assert entry.precision == "fp32"
    assert "most weights are not matrices" in entry.reason


def test_a_graph_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    from warmup.prepare.vision import export

    traced = export._Traced.forward

    def broken(self, pixel_values):
        return tuple(value + 0.01 for value in traced(self, pixel_values))

    monkeypatch.setattr(export._Traced, "forward", broken)
    with pytest.raises(
        NotPrepared, match=r"onnxruntime and transformers disagree: fp32: raw_difference 0\.0"
    ):
        made(tmp_path, "image-classification", "vit")


@pytest.mark.parametrize(
    ("task", "family", "reason"),
    [
        (
            "image-classification",
            "yolos",
            "yolos models are not prepared for image-classification; these are: beit",
        ),
        ("depth-estimation", "vit", "vit models are not prepared for depth-estimation"),
    ],
)
def test_another_family_stays_on_torch_with_the_reason(tmp_path, task, family, reason):
    trained_for = {"yolos": "ForObjectDetection", "vit": "ForImageClassification"}[family]
    snapshot = build(family, tmp_path / "snapshot", trained_for)
    with pytest.raises(NotPrepared, match=reason):
        prepared(tmp_path, task, snapshot)


def test_a_model_for_one_size_that_gets_many_stays_on_torch(tmp_path):
    snapshot = build("vit", tmp_path / "snapshot", "ForImageClassification")
    transformers.DetrImageProcessorPil().save_pretrained(snapshot)
    with pytest.raises(NotPrepared, match="looks at pictures of many sizes"):
        prepared(tmp_path, "image-classification", snapshot)


def test_the_users_own_pictures_are_the_gates_samples(tmp_path):
    own = [base64_of(FILES[0]), {"image": base64_of(FILES[1])}]
    entry, _ = made(tmp_path, "image-classification", "vit", samples=tuple(own))
    assert entry.agreement["fp32"]["samples"] == 2
    for broken in ("https://example.com/a.png", base64_of(b"%PDF-1.7")):
        with pytest.raises(NotPrepared, match="gate sample 1 of image-classification is no image"):
            made(tmp_path / "other", "image-classification", "vit", samples=(broken,))


def test_what_a_prepared_model_cannot_do_is_422(tmp_path):
    entry, _ = made(tmp_path, "image-segmentation", "segformer")
    engine = onnx_engine.load("image-segmentation", Path(entry.path))
    with pytest.raises(Unprocessable, match="panoptic"):
        engine([Image(FILES[0])], subtask="panoptic")
    with torch.inference_mode(), pytest.raises(Unprocessable, match="damaged"):
        engine([Image(FILES[0][:1000])])


def test_a_task_that_torch_alone_answers_is_said_to_be_so(tmp_path):
    with pytest.raises(NotPrepared, match="models for text-to-audio are not prepared: torch answers them"):
        prepared(tmp_path, "text-to-audio", tmp_path)


def test_labels_are_read_once_and_asked_for(tmp_path):
    entry, _ = made(tmp_path, "zero-shot-image-classification", "siglip")
    engine = onnx_engine.load("zero-shot-image-classification", Path(entry.path))
    first = engine([Image(FILES[0])], candidate_labels="a cat, a dog", hypothesis_template="{}")
    assert engine([Image(FILES[0])], candidate_labels=["a cat", "a dog"], hypothesis_template="{}") == first
    with pytest.raises(BadRequest, match="candidate_labels"):
        engine([Image(FILES[0])])


def test_a_label_that_is_too_long_for_the_model_is_422(tmp_path):
    entry, _ = made(tmp_path, "zero-shot-image-classification", "clip")
    engine = onnx_engine.load("zero-shot-image-classification", Path(entry.path))
    with pytest.raises(Unprocessable, match="tokens in its sentence, the model reads 64"):
        engine([Image(FILES[0])], candidate_labels=["cat " * 40])
