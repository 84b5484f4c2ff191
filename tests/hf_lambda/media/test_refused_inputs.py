"""Files and what goes with them that no model can take: the caller is told, by 400 or 422."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hf_lambda.errors import BadRequest, ServingError
from hf_lambda.inputs import read_inputs
from hf_lambda.torch_engine import load
from tests.media_support import encoded, picture, sound, tones
from tests.tiny_media import build

PICTURE = encoded(picture(60, 80))
RAW = {"raw": [0.0, 0.1] * 4000, "sampling_rate": 16_000}
LABELS = {"candidate_labels": ["a cat"]}


@pytest.mark.parametrize(
    "given",
    [
        *(
            {**RAW, "raw": raw}
            for raw in (5, None, [], "x", ["x"], [[0.1, 0.2]] * 9, [float("nan")], [1e400])
        ),
        *({**RAW, "sampling_rate": rate} for rate in (None, 0, -1, 1, 10**9, "x", True, float("inf"))),
    ],
)
def test_samples_that_are_no_sound(given: Any) -> None:
    with pytest.raises(BadRequest, match=r"raw|sampling_rate"):
        read_inputs("audio-classification", (given,), {})


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [["a", [0, 0, 10]]],
        [["a", [0, 0, 10, 1001]]],
        [["a", [0, 0, -1, 1]]],
        [["", [0, 0, 1, 1]]],
        [["a", "1234"]],
    ],
)
def test_words_that_lie_nowhere(boxes: Any) -> None:
    given = {"image": PICTURE, "question": "who", "word_boxes": boxes}
    with pytest.raises(BadRequest, match="word_boxes"):
        read_inputs("document-question-answering", (given,), {})


def test_a_text_about_no_picture() -> None:
    with pytest.raises(BadRequest, match="images"):
        read_inputs("image-text-to-text", ({"images": [], "text": "a cat"},), {})


def shout(value: float) -> bytes:
    wave = tones(0.6)
    wave[100] = value
    return sound(wave, subtype="FLOAT")


QUESTION = {"type": "choice", "instructions": "pet", "criteria": {"cat": "a cat"}}
UNREADABLE: dict[str, Any] = {
    **{
        f"sound of {count} samples": ("audio-classification", "ast", "ForAudioClassification", data, {})
        for count, data in ((count, sound(np.zeros(count, np.float32))) for count in (1, 100))
    },
    **{
        f"sound as loud as {value}": (
            "audio-classification",
            "wav2vec2",
            "ForAudioClassification",
            shout(value),
            {},
        )
        for value in (float("nan"), float("inf"), 1e38)
    },
    "a label without end": (
        *("zero-shot-object-detection", "owlvit", "ForZeroShotObjectDetection", PICTURE),
        {"candidate_labels": ["a cat " * 40]},
    ),
    "pictures that the text does not name": (
        *("image-text-to-text", "llava", "ForImageTextToText", {"images": [PICTURE], "text": "no picture"}),
        {"max_new_tokens": 2},
    ),
    "nothing to say": ("text-to-audio", "vits", "ForTextToWaveform", "日本", {}),
    **{
        f"a question of {name}": (
            *("decision", "llama", "ForCausalLM"),
            {"state": "a cat", "questions": {"pet": {**QUESTION, name: value}}},
            {},
        )
        for name, value in (("type", "x"), ("criteria", []), ("criteria", {}))
    },
}
"""Task, family, head, input and parameters."""


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_no_model_can_take(tmp_path: Any, case: str) -> None:
    task, family, head, given, parameters = UNREADABLE[case]
    folder = build(family, tmp_path, head)
    if task == "decision":
        (folder / "decision.json").write_text("{}")
    chosen = dict(parameters)
    items, _ = read_inputs(task, (given,), chosen)
    with pytest.raises(ServingError) as refused:
        load(task, folder)(items, **chosen)
    assert refused.value.status in (400, 422)
