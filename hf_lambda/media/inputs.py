"""What the tasks of images and sound are called with, in the shapes of transformers' pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import BadRequest, Unprocessable
from ..records import Json
from ..signature import Mismatch, json_type
from .audio import RATES, Audio
from .image import Image

if TYPE_CHECKING:
    from ..engines import Input

KINDS = {
    "image-classification": "image",
    "image-feature-extraction": "image",
    "image-segmentation": "image",
    "object-detection": "image",
    "depth-estimation": "image",
    "image-to-text": "image",
    "zero-shot-image-classification": "image",
    "zero-shot-object-detection": "image",
    "keypoint-matching": "pair of images",
    "document-question-answering": "document",
    "image-text-to-text": "images and text",
    "audio-classification": "audio",
    "automatic-speech-recognition": "audio",
    "zero-shot-audio-classification": "audio",
    "decision": "state and questions",
}
"""What one input of a task is; tasks that take text are not here."""
_NAMED = {
    "pair of images": ("images",),
    "document": ("image", "question", "word_boxes"),
    "images and text": ("images", "image", "text"),
    "state and questions": ("state", "questions"),
}
_WORD_BOXES = "an array of [word, [left, top, right, bottom]], from 0 to 1000"


def read(task: str, given: tuple[Input, ...], parameters: dict[str, Json]) -> tuple[list[Input], bool]:
    """The inputs, and whether they came as a list. Takes out of `parameters` what is an input there.

    Raises BadRequest, and Unprocessable for files that cannot be read.
    """
    kind = KINDS[task]
    if "candidate_labels" not in parameters and len(given) == 2 and task.startswith("zero-shot"):
        parameters["candidate_labels"] = given[1]
        given = given[:1]
    named = {name: parameters.pop(name) for name in _NAMED.get(kind, ()) if name in parameters}
    if named:
        if given:  # the first of them stands alone, as in transformers
            named = {_NAMED[kind][0]: given[0], **named}
        given = (named,)
    if len(given) != 1:
        raise BadRequest(None, "one input or a list of inputs", f"{len(given)} positional arguments")
    one = given[0]
    is_list = isinstance(one, list | tuple) and not (kind == "pair of images" and _is_pair(one))
    items = list(one) if is_list else [one]
    read_one = _READERS[kind]
    return [
        _placed(read_one, item, f"[{place}]" if is_list else None) for place, item in enumerate(items)
    ], is_list


def picture(value: Input) -> Input:
    """An Image, or what Pillow made already. Raises Mismatch and Unprocessable."""
    return value if type(value).__module__.partition(".")[0] == "PIL" else Image.from_json(value)


def _sound(value: Input) -> Input:
    """An Audio; or the samples (n,) at the model's rate; or `{"raw": samples, "sampling_rate": Hz}`."""
    if hasattr(value, "dtype"):
        return value
    if isinstance(value, dict) and ("raw" in value or "array" in value) and "sampling_rate" in value:
        return {"raw": _samples(value.get("raw", value.get("array"))), "sampling_rate": _rate(value)}
    return Audio.from_json(value)


def _samples(value: Input) -> Input:
    """(n,) float32. Raises Mismatch for what is no array of finite numbers."""
    import numpy as np

    try:
        samples = np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        samples = np.zeros(0, np.float32)
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise Mismatch(".raw", "an array of one channel's samples, finite numbers", json_type(value))
    return samples


def _rate(value: dict[str, Json]) -> int:
    rate = value["sampling_rate"]
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not RATES[0] <= rate <= RATES[1]:
        expected = f"a rate of {RATES[0]:,} to {RATES[1]:,} Hz"
        raise Mismatch(".sampling_rate", expected, json_type(rate))
    return int(rate)


def _is_pair(value: Input) -> bool:
    return len(value) == 2 and not any(isinstance(each, list | tuple | dict) for each in value)


def _pair(value: Input) -> Input:
    value = value.get("images") if isinstance(value, dict) else value
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Mismatch("", "an array of two images", json_type(value))
    return [picture(each) for each in value]


def _document(value: Input) -> Input:
    fields = _fields(value, ("image", "question"), ("word_boxes",))
    if not isinstance(fields["question"], str) or not fields["question"].strip():
        raise Mismatch(".question", "text", json_type(fields["question"]))
    boxes = fields.pop("word_boxes", None)
    if boxes is not None:
        if not isinstance(boxes, list) or not all(map(_is_word_box, boxes)):
            raise Mismatch(".word_boxes", _WORD_BOXES, json_type(boxes))
        if not boxes:
            raise Mismatch(".word_boxes", "at least one word", "an empty array")
        fields["word_boxes"] = [(word, tuple(box)) for word, box in boxes]
    return {**fields, "image": picture(fields["image"])}


def _is_word_box(value: Input) -> bool:
    is_pair = isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)
    if not is_pair or not value[0].strip() or not isinstance(value[1], list | tuple) or len(value[1]) != 4:
        return False
    return all(isinstance(edge, int) and 0 <= edge <= 1000 for edge in value[1])


def _images_and_text(value: Input) -> Input:
    if isinstance(value, dict) and "image" in value:
        value = {**value, "images": value["image"]}
        del value["image"]
    fields = _fields(value, ("images", "text"), ())
    images = fields["images"] if isinstance(fields["images"], list | tuple) else [fields["images"]]
    if not isinstance(fields["text"], str):
        raise Mismatch(".text", "text", json_type(fields["text"]))
    if not images:
        raise Mismatch(".images", "at least one image", "an empty array")
    return {"images": [picture(each) for each in images], "text": fields["text"]}


def _decision(value: Input) -> Input:
    fields = _fields(value, ("state", "questions"), ())
    if not isinstance(fields["questions"], dict):
        raise Mismatch(".questions", "an object of questions by name", json_type(fields["questions"]))
    return fields


def _fields(value: Input, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Json]:
    words = "an object of " + ", ".join(required)
    if not isinstance(value, dict):
        raise Mismatch("", words, json_type(value))
    for name in required:
        if value.get(name) is None:
            raise Mismatch(f".{name}", words, "nothing")
    if unknown := set(value) - {*required, *optional}:
        raise Mismatch("", words, f"one with {sorted(unknown)[0]}")
    return dict(value)


_READERS: dict[str, Callable[[Input], Input]] = {
    "image": picture,
    "audio": _sound,
    "pair of images": _pair,
    "document": _document,
    "images and text": _images_and_text,
    "state and questions": _decision,
}


def _placed(read_one: Callable[[Input], Input], item: Input, place: str | None) -> Input:
    try:
        return read_one(item)
    except Mismatch as mismatch:
        field = (place or "") + mismatch.place.removeprefix("." if place is None else "")
        raise BadRequest(field or None, mismatch.expected, mismatch.given) from None
    except Unprocessable as problem:
        problem.field = problem.field or place
        raise
