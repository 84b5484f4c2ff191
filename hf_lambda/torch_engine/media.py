"""The tasks of images and sound, by transformers' own pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.pipelines import SUPPORTED_TASKS

from ..engines import Input
from ..errors import BadRequest, EngineUnavailable, Unprocessable
from ..events import jsonable
from ..media import answers
from ..media.image import Image
from ..media.inputs import KINDS
from ..media.limits import check_masks, check_scaled, label_too_long, too_small
from ..media.samples import check_duration, heard
from ..parameters import GENERATION
from ..records import Json
from .code import code_options
from .generation import check_options, options_of
from .loading import in_time, load_model, max_position

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage
    from transformers import AutoModel, BaseImageProcessor

_PROCESSORS = ("image-text-to-text",)
"""Tasks whose pipeline takes a model's processor whole."""
_TOKENIZED = (
    "automatic-speech-recognition",
    "decision",
    "document-question-answering",
    "image-to-text",
    "text-to-audio",
    "zero-shot-audio-classification",
    "zero-shot-image-classification",
    "zero-shot-object-detection",
)
_SENTENCES = {
    "zero-shot-audio-classification": "This is a sound of {}.",
    "zero-shot-image-classification": "This is a photo of {}.",
    "zero-shot-object-detection": "{}",
}
"""What transformers' pipelines write around a label."""
_OWN_GENERATION = ("language", "task", "prompt")


class MediaPipeline:
    """One of transformers' pipelines, one input at a time: a batch of pictures is only bigger, no faster."""

    def __init__(self, task: str, snapshot: Path) -> None:
        self._task = task
        model = load_model(_auto_class(task, snapshot), snapshot)
        self._pipeline = in_time(
            transformers.pipeline(task, model=model, device="cpu", **processors(task, snapshot))
        )
        if (tokenizer := self._pipeline.tokenizer) is not None and task != "text-to-audio":
            tokenizer.model_max_length = min(tokenizer.model_max_length, 10**6)

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        chosen = self._translated(parameters)
        return [self._answer(item, dict(chosen)) for item in inputs]

    def _answer(self, item: Input, chosen: dict[str, Json]) -> Json:
        arguments = self._arguments(item, chosen)
        try:
            with torch.inference_mode():
                answer = self._pipeline(*arguments, **chosen)
        except Exception as problem:  # tokenizers has no type of its own
            raiser = _raiser(problem)
            if self._task == "document-question-answering" and raiser.startswith(_TOKENIZING):
                raise Unprocessable("max_seq_len", _NO_ROOM) from problem
            if KINDS.get(self._task) == "audio" and isinstance(
                problem, IndexError | RuntimeError | ValueError
            ):
                check_duration(arguments[0], self._rate, problem)
            if not isinstance(problem, ValueError):
                raise
            if _scales_pictures(raiser) and (small := _first_picture(item)) is not None:
                raise too_small(small.width, small.height) from problem
            if not _is_refusal(raiser):
                raise
            raise Unprocessable(None, str(problem).partition("\n")[0]) from problem
        return jsonable(self._plain(answer))

    @property
    def _rate(self) -> int:
        return int(self._pipeline.feature_extractor.sampling_rate)

    def _arguments(self, item: Input, chosen: dict[str, Json]) -> tuple[Input, ...]:
        """`item` as this task's pipeline takes it; what it takes by name goes into `chosen`."""
        kind = KINDS.get(self._task)
        if kind == "audio":
            return (heard(item, self._rate),)
        if self._task == "zero-shot-object-detection":
            labels = chosen.pop("candidate_labels")
            return ([{"image": self._picture(item), "candidate_labels": labels}],)
        if kind == "image":
            return (self._picture(item),)
        if kind == "pair of images":
            return ([self._picture(each) for each in item],)
        if kind == "document":
            return ({**item, "image": self._picture(item["image"])},)
        if kind == "images and text":
            chosen.update(images=[self._picture(each) for each in item["images"]], text=item["text"])
            return ()
        if self._task == "text-to-audio" and not self._pipeline.tokenizer(item)["input_ids"]:
            raise Unprocessable(None, "the text has nothing that the model can say")
        return (item,)

    def _picture(self, item: Input) -> Input:
        """`item` as Pillow has it. Raises Unprocessable where it becomes too large for the memory."""
        picture = _pillow(item)
        processor = getattr(self._pipeline, "image_processor", None)
        processor = processor or getattr(self._pipeline.processor, "image_processor", None)
        if processor is None:
            return picture
        given = (picture.height, picture.width)
        scaled, reads = _scaled(processor, given)
        check_scaled(given, scaled, reads=reads)
        if self._task == "image-segmentation":
            check_masks(*given, self._pipeline.model.config.num_labels)
        return picture

    def _translated(self, chosen: Mapping[str, Json]) -> dict[str, Json]:
        """`chosen` in the words of this task's pipeline. Raises BadRequest for labels that are missing."""
        chosen = dict(chosen)
        if self._task.startswith("zero-shot"):
            labels = chosen.get("candidate_labels")
            labels = [label.strip() for label in labels.split(",")] if isinstance(labels, str) else labels
            if not labels:
                raise BadRequest("candidate_labels", "an array of labels", "nothing")
            chosen["candidate_labels"] = list(labels)
            self._check_labels(chosen)
        if chosen.get("function_to_apply") == "default":
            del chosen["function_to_apply"]
        if (seed := chosen.pop("seed", None)) is not None:
            torch.manual_seed(seed)
        if self._task in ("automatic-speech-recognition", "image-text-to-text", "text-to-audio"):
            names = (*GENERATION, *_OWN_GENERATION)
            generation = {name: chosen.pop(name) for name in names if name in chosen}
            if prompt := generation.pop("prompt", None):
                if not hasattr(self._pipeline.tokenizer, "get_prompt_ids"):
                    raise BadRequest("prompt", "no prompt: this model takes none", "one")
                ids = self._pipeline.tokenizer.get_prompt_ids(prompt, return_tensors="pt")
                generation["prompt_ids"] = ids
            if self._pipeline.model.can_generate() and self._task != "text-to-audio":
                check_options(self._pipeline.model, options_of(generation), lengths=False)
            if generation:
                chosen["generate_kwargs"] = generation
        return chosen

    def _check_labels(self, chosen: Mapping[str, Json]) -> None:
        """Raises Unprocessable for a label that is longer than the model reads, where nothing cuts it."""
        model, tokenizer = self._pipeline.model, self._pipeline.tokenizer
        if self._task not in _SENTENCES or "siglip" in model.config.model_type:
            return
        template = chosen.get("hypothesis_template") or _SENTENCES[self._task]
        known = (
            getattr(model.config.get_text_config(), "max_position_embeddings", None),
            max_position(model),
        )
        most = min((each for each in known if each), default=None)
        sentences = [template.format(label) for label in chosen["candidate_labels"]]
        longest = max(map(len, tokenizer(sentences)["input_ids"]))
        if most is not None and longest > most:
            raise label_too_long(longest, most)

    def _plain(self, answer: Json) -> Json:
        """Pictures, sound and tensors as JSON can hold them."""
        if self._task == "depth-estimation":
            return answers.depth(answer["predicted_depth"].detach().numpy())
        if self._task == "text-to-audio":
            rate = int(answer["sampling_rate"])
            return {"audio": answers.wav(answer["audio"], rate), "sampling_rate": rate}
        if self._task == "image-segmentation":
            return [{**part, "mask": answers.png(_array(part["mask"]))} for part in answer]
        if self._task == "zero-shot-object-detection" and answer and isinstance(answer[0], list):
            return answer[0]
        return answer


def _auto_class(task: str, snapshot: Path) -> type[AutoModel]:
    """The first of the task's classes that knows the model's type."""
    config = transformers.AutoConfig.from_pretrained(str(snapshot), local_files_only=True, **code_options())
    classes: tuple[type[AutoModel], ...] = SUPPORTED_TASKS[task]["pt"]
    own = getattr(config, "auto_map", None) or {} if code_options()["trust_remote_code"] else {}
    for auto_class in classes:
        if type(config) in auto_class._model_mapping or auto_class.__name__ in own:
            return auto_class
    raise EngineUnavailable(
        f"{config.model_type} models have no {task} in transformers: write another model="
    )


def processors(task: str, snapshot: Path) -> dict[str, Json]:
    """What prepares the inputs and reads the outputs.

    Image processors are pinned to Pillow: the other back end answers otherwise where somebody installs it.
    """
    options = {"local_files_only": True, **code_options()}
    kind = KINDS.get(task, "")
    found: dict[str, Json] = {}
    if kind == "audio":
        found["feature_extractor"] = transformers.AutoFeatureExtractor.from_pretrained(
            str(snapshot), **options
        )
    if task in _TOKENIZED:
        found["tokenizer"] = transformers.AutoTokenizer.from_pretrained(str(snapshot), **options)
    if "image" not in kind and kind != "document":
        return found
    try:
        if task in _PROCESSORS:
            whole = transformers.AutoProcessor.from_pretrained(str(snapshot), backend="pil", **options)
            return {"processor": whole}
        if kind == "document" and not (snapshot / "preprocessor_config.json").is_file():
            return found  # LayoutLM reads words and boxes alone
        processor = transformers.AutoImageProcessor.from_pretrained(str(snapshot), backend="pil", **options)
    except (ImportError, ValueError) as problem:
        if "torchvision" not in str(problem):
            raise
        raise EngineUnavailable(
            "only torchvision prepares images for this model, and it is not installed here: with it the "
            "answers of other models would change. Write another model="
        ) from problem
    return {**found, "image_processor": processor}


def _scaled(
    processor: BaseImageProcessor, given: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """What a picture of (height, width) is about resized to, and what of it then reaches the model, where
    `processor` bounds one of them by nothing but the picture."""
    height, width = given
    size = {name: value for name, value in dict(getattr(processor, "size", None) or {}).items() if value}
    if getattr(processor, "do_resize", None) is False or (not size and hasattr(processor, "size_divisor")):
        return given, None if _crops(processor) else given
    if getattr(processor, "keep_aspect_ratio", False) and size.keys() >= {"height", "width"}:
        share = min(size["height"] / height, size["width"] / width, key=lambda each: abs(1 - each))
    elif "shortest_edge" in size and "longest_edge" not in size:
        share = size["shortest_edge"] / min(given)
    else:
        return (0, 0), None
    scaled = (round(height * share), round(width * share))
    is_open = not _crops(processor) and getattr(processor, "crop_pct", None) is None
    return scaled, scaled if is_open else None


def _crops(processor: BaseImageProcessor) -> bool:
    return bool(getattr(processor, "do_center_crop", False))


def _raiser(problem: Exception) -> str:
    """The module that raised it."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals["__name__"])


def _scales_pictures(raiser: str) -> bool:
    return raiser.startswith(("transformers.image_", "PIL.")) or ".image_processing_" in raiser


def _first_picture(item: Input) -> PillowImage | None:
    """The Pillow image of an input, of several the one with the shortest side; None where it has none."""
    if isinstance(item, Image):
        return item.pillow()
    if isinstance(item, dict):
        item = item.get("images") or item.get("image")
        item = item if isinstance(item, list | tuple) else [item]
    found = [_pillow(each) for each in item] if isinstance(item, list | tuple) else [item]
    pictures = [each for each in found if hasattr(each, "height") and hasattr(each, "width")]
    return min(pictures, key=lambda each: min(each.width, each.height), default=None)


def _is_refusal(raiser: str) -> bool:
    """Whether a pipeline, `generate`, a processor or the reader of questions raised it: so they say that a
    model cannot do what is asked."""
    return raiser.startswith(_REFUSING) or (
        raiser.startswith("transformers.models") and ".generation_" in raiser
    )


_TOKENIZING = "transformers.tokenization_utils"
_NO_ROOM = (
    "a window holds the question, special tokens and doc_stride, and has no room for words of the document: "
    "ask for a longer max_seq_len or a shorter doc_stride, or shorten the question"
)
_REFUSING = tuple(
    f"transformers.{module}" for module in ("pipelines", "generation", "decision", "processing_utils")
)


def _pillow(item: Input) -> Input:
    return item.pillow() if isinstance(item, Image) else item


def _array(image: PillowImage) -> NDArray[Any]:
    import numpy as np

    return np.asarray(image)
