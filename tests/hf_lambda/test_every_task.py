"""Every task that transformers has a pipeline for: answered on a tiny model, or refused with a sentence."""

from __future__ import annotations

import io
from typing import Any

import pytest
import soundfile
import torch
import transformers
from transformers.pipelines import SUPPORTED_TASKS

from hf_lambda import tasks
from hf_lambda.errors import BadRequest, EngineUnavailable, Unprocessable
from hf_lambda.inputs import read_inputs
from hf_lambda.torch_engine import load
from tests.media_support import assert_same, encoded, picture, sound, tones
from tests.tiny_media import build

PICTURE, SOUND = picture(60, 80), sound(tones(0.6))
LABELS = {"candidate_labels": ["a cat", "a dog"]}
WORDS = [("cat", (0, 0, 10, 10)), ("dog", (20, 20, 30, 30))]
QUESTIONS = {
    "state": "a cat sat",
    "questions": {"pet": {"type": "choice", "instructions": "pet", "criteria": {}}},
}
QUESTIONS["questions"]["pet"]["criteria"] = {"cat": "a cat", "dog": "a dog"}  # type: ignore[index]

TEXT = "transformers' own pipelines of text are compared in tests/hf_lambda/torch_engine"
TRIED: dict[str, Any] = {
    **dict.fromkeys(["text-classification", "token-classification", "fill-mask", "feature-extraction"], TEXT),
    **dict.fromkeys(["zero-shot-classification", "text-generation"], TEXT),
    "image-classification": ("vit", "ForImageClassification", PICTURE, {"top_k": 3}),
    "image-feature-extraction": ("vit", "", PICTURE, {}),
    "image-segmentation": ("segformer", "ForSemanticSegmentation", PICTURE, {}),
    "object-detection": ("detr", "ForObjectDetection", PICTURE, {"threshold": 0.2}),
    "depth-estimation": ("dpt", "ForDepthEstimation", PICTURE, {}),
    "zero-shot-image-classification": ("clip", "", PICTURE, LABELS),
    "zero-shot-object-detection": (
        "owlvit",
        "ForZeroShotObjectDetection",
        PICTURE,
        {**LABELS, "threshold": 0.01},
    ),
    "keypoint-matching": ("superglue", "ForKeypointMatching", (PICTURE, PICTURE), {}),
    "document-question-answering": (
        "layoutlm",
        "ForDocumentQuestionAnswering",
        {"image": PICTURE, "question": "who", "word_boxes": WORDS},
        # All that there are.
        {
            "top_k": 2,
            "doc_stride": 8,
            "max_answer_len": 3,
            "max_seq_len": 40,
            "handle_impossible_answer": True,
        },
    ),
    "image-text-to-text": (
        "llava",
        "ForImageTextToText",
        {"images": [PICTURE], "text": "<image> a cat"},
        {"max_new_tokens": 4},
    ),
    "audio-classification": ("ast", "ForAudioClassification", SOUND, {"top_k": 2}),
    "automatic-speech-recognition": ("wav2vec2", "ForCTC", SOUND, {"return_timestamps": "char"}),
    "zero-shot-audio-classification": ("clap", "", SOUND, LABELS),
    "text-to-audio": ("vits", "ForTextToWaveform", "a cat", {}),
    "decision": ("llama", "ForCausalLM", QUESTIONS, {}),
}
"""Family, head, input and parameters by task."""


@pytest.mark.parametrize("task", SUPPORTED_TASKS)
def test_every_task_of_transformers_is_tried_or_refused(task):
    assert (task in TRIED) is not (task in tasks.REFUSED)
    if task in tasks.REFUSED:
        with pytest.raises(ValueError, match=f"'{task}' is not here: .*"):
            tasks.canonical(task)
    else:
        assert tasks.canonical(task) == task


@pytest.mark.parametrize("task", [task for task in TRIED if TRIED[task] != TEXT])
def test_a_task_of_images_or_sound_is_answered_as_transformers_answers_it(tmp_path, task):
    family, head, given, parameters = TRIED[task]
    changes = {"id2label": {0: "start", 1: "end"}} if family == "layoutlm" else {}
    folder = build(family, tmp_path, head, **changes)
    if task == "decision":
        (folder / "decision.json").write_text("{}")
    chosen = dict(parameters)
    items, is_list = read_inputs(task, (given,), chosen)
    assert not is_list
    engine = load(task, folder)
    torch.manual_seed(0)  # speech is drawn with noise
    [ours] = engine(items, **chosen)
    expected = theirs(task, folder, given, parameters)
    assert_same(ours, expected)


def theirs(task: str, folder: Any, given: Any, parameters: dict[str, Any]) -> Any:
    """The answer of transformers' own pipeline, put as JSON the long way."""
    options = {"feature_extractor": str(folder)} if "audio" in task or "speech" in task else {}
    pipeline = transformers.pipeline(task, model=str(folder), device="cpu", **options)
    if given is SOUND:
        given = soundfile.read(io.BytesIO(SOUND), dtype="float32")[0]
    if task == "image-text-to-text":
        given, parameters = given["images"], {"text": given["text"], "generate_kwargs": parameters}
    if task == "zero-shot-object-detection":
        parameters = dict(parameters)
        given = {"image": given, "candidate_labels": parameters.pop("candidate_labels")}
    if task == "keypoint-matching":
        given = list(given)
    torch.manual_seed(0)
    answer = pipeline(given, **parameters)
    if task == "depth-estimation":
        depth = answer["predicted_depth"]
        return {"depth": answer["depth"], "min_depth": float(depth.min()), "max_depth": float(depth.max())}
    return answer


def test_a_list_of_pictures_gives_a_list_of_answers(tmp_path):
    folder = build("vit", tmp_path, "ForImageClassification")
    items, is_list = read_inputs("image-classification", ([PICTURE, encoded(picture(seed=1))],), {})
    assert is_list
    assert [len(answer) for answer in load("image-classification", folder)(items, top_k=2)] == [2, 2]


def test_a_model_whose_images_only_torchvision_prepares_is_refused_with_that_reason(tmp_path):
    folder = build("vit", tmp_path, "ForImageClassification")
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "ViTPoseOfTorchvision"}')
    with pytest.raises(ValueError, match="Unrecognized image processor"):
        load("image-classification", folder)
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "DINOv3ViTImageProcessor"}')
    with pytest.raises(EngineUnavailable, match="only torchvision prepares images"):
        load("image-classification", folder)


def test_what_a_model_cannot_do_is_a_refusal_and_not_a_fault(tmp_path):
    folder = build("wav2vec2", tmp_path, "ForCTC")
    items, _ = read_inputs("automatic-speech-recognition", (SOUND,), {})
    with pytest.raises(Unprocessable, match="CTC can either predict character level timestamps"):
        load("automatic-speech-recognition", folder)(items, return_timestamps=True)


def test_generation_options_that_cannot_be_are_refused_for_pictures_and_sound_too(tmp_path):
    given = {"images": [PICTURE], "text": "<image> a cat"}
    engine = load("image-text-to-text", build("llava", tmp_path / "llava", "ForImageTextToText"))
    items, _ = read_inputs("image-text-to-text", (given,), {})
    for parameters in (
        {"bad_words_ids": [[10**6]]},
        {"num_beams": 2, "num_beam_groups": 2},
        {"num_return_sequences": 3, "do_sample": False},
        {"max_length": 1},
    ):
        with pytest.raises((BadRequest, Unprocessable)):
            engine(items, **parameters)
    engine = load("automatic-speech-recognition", build("wav2vec2", tmp_path / "ctc", "ForCTC"))
    items, _ = read_inputs("automatic-speech-recognition", (SOUND,), {})
    with pytest.raises(BadRequest, match="`prompt`: expected no prompt"):
        engine(items, prompt="cat")


@pytest.mark.parametrize(
    ("question", "parameters"),
    [
        ("who is the one", {"max_seq_len": 2}),
        ("who is the one", {"max_seq_len": 6}),
        ("who is the one", {"max_seq_len": 12, "doc_stride": 11}),
        ("who is the one", {"doc_stride": 10**6}),
        ("who " * 2000, {}),
    ],
)
def test_a_question_that_leaves_no_room_for_the_document_is_refused(tmp_path, question, parameters):
    family, head, given, _ = TRIED["document-question-answering"]
    engine = load("document-question-answering", build(family, tmp_path, head))
    with pytest.raises(Unprocessable, match="no room for words of the document"):
        engine([{**given, "question": question}], **parameters)


def test_labels_are_asked_for(tmp_path):
    folder = build("clip", tmp_path)
    items, _ = read_inputs("zero-shot-image-classification", (PICTURE,), {})
    engine = load("zero-shot-image-classification", folder)
    with pytest.raises(BadRequest, match="candidate_labels"):
        engine(items)
    assert {each["label"] for each in engine(items, candidate_labels="a cat, a dog")[0]} == {"a cat", "a dog"}


@pytest.mark.parametrize(
    ("task", "given", "field"),
    [
        ("image-classification", "https://example.com/cat.png", None),
        ("image-classification", [encoded(PICTURE), 3], "[1]"),
        ("automatic-speech-recognition", "/etc/passwd.wav", None),
        ("keypoint-matching", [PICTURE], "[0]"),
        ("document-question-answering", {"image": PICTURE}, "question"),
        ("document-question-answering", {"image": PICTURE, "question": "q", "word_boxes": [1]}, "word_boxes"),
        ("image-text-to-text", {"images": [PICTURE]}, "text"),
        ("decision", {"state": "x", "questions": []}, "questions"),
    ],
)
def test_an_input_of_another_kind_is_refused_with_its_place(task, given, field):
    with pytest.raises(BadRequest) as refusal:
        read_inputs(task, (given,), {})
    assert refusal.value.field == field


def test_inputs_may_come_by_name():
    given: dict[str, Any] = {"image": PICTURE, "question": "who", "top_k": 1}
    items, is_list = read_inputs("document-question-answering", (), given)
    assert (items, is_list, given) == ([{"image": PICTURE, "question": "who"}], False, {"top_k": 1})
    labels: dict[str, Any] = {}
    read_inputs("zero-shot-image-classification", (PICTURE, ["a", "b"]), labels)
    assert labels == {"candidate_labels": ["a", "b"]}
