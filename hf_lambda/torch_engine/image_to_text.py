"""image-to-text, as transformers 4 had it: what is written or to be seen in a picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel
from transformers.image_utils import load_image
from transformers.models.trocr.modeling_trocr import TrOCRSinusoidalPositionalEmbedding

from ..engines import Input
from ..errors import BadRequest, EngineUnavailable
from ..media.image import Image
from ..media.limits import too_small
from ..records import Json
from .code import code_options
from .generation import check_prompt, length_options
from .loading import load_model, max_position
from .media import processors


class ImageToText:
    def __init__(self, snapshot: Path) -> None:
        self._model = load_model(_class_of(snapshot), snapshot)
        fill_positions(self._model)
        found = processors("image-to-text", snapshot)
        self._pixels, self._tokenizer = found["image_processor"], found["tokenizer"]
        self._most_new = max_position(_decoder(self._model))

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per picture a list of `{"generated_text"}`, of one or of `num_return_sequences`."""
        if (seed := parameters.get("seed")) is not None:
            torch.manual_seed(seed)
        prompt = self._prompt(parameters.get("prompt"))
        options = self._generation(parameters, prompt)
        return [self._answer(item, prompt, options) for item in inputs]

    def _answer(self, item: Input, prompt: Mapping[str, Json], options: Mapping[str, Json]) -> list[Json]:
        picture = load_image(item.pillow() if isinstance(item, Image) else item)
        try:
            pixels = self._pixels(images=picture, return_tensors="pt")["pixel_values"]
        except ValueError as problem:
            raise too_small(picture.width, picture.height) from problem
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice on options, meant for whoever wrote the model
                ids = self._model.generate(pixel_values=pixels, **prompt, **options)
        except ValueError as error:
            raise BadRequest(None, "generation options that go together", str(error)) from error
        return [{"generated_text": self._tokenizer.decode(row, skip_special_tokens=True)} for row in ids]

    def _prompt(self, text: str | None) -> dict[str, Json]:
        """What the answer goes on from: Donut's task, the beginning of a caption."""
        if text is None:
            return {}
        if self._model.config.model_type == "vision-encoder-decoder":
            ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            return {"decoder_input_ids": torch.tensor([ids])} if ids else {}
        ids = self._tokenizer(text)["input_ids"]
        return {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}

    def _generation(self, parameters: Mapping[str, Json], prompt: Mapping[str, Json]) -> dict[str, Json]:
        options = length_options(self._model, parameters, self._most_new)
        for ids in (prompt.get(name) for name in ("decoder_input_ids", "input_ids")):
            if ids is not None:
                check_prompt(ids.shape[1], options, self._most_new)
        return options


def fill_positions(model: PreTrainedModel) -> None:
    """Compute the positions of TrOCR's larger models, of which transformers 5 has no values after loading.

    They are in no file and in no buffer, so that what is made without memory first stays without values.
    """
    for module in model.modules():
        if isinstance(module, TrOCRSinusoidalPositionalEmbedding) and module.weights.is_meta:
            rows = module.weights.shape[0]
            module.weights = module.get_embedding(rows, module.embedding_dim, module.padding_idx)


def _class_of(snapshot: Path) -> type[PreTrainedModel]:
    config = transformers.AutoConfig.from_pretrained(str(snapshot), local_files_only=True, **code_options())
    found: type[PreTrainedModel] = transformers.VisionEncoderDecoderModel
    if config.model_type != "vision-encoder-decoder":
        found = transformers.AutoModelForImageTextToText
        if type(config) not in found._model_mapping:
            raise EngineUnavailable(
                f"{config.model_type} models have no image-to-text in transformers: write another model="
            )
    return found


def _decoder(model: PreTrainedModel) -> PreTrainedModel:
    """The part that writes, whose positions are what a text may be long."""
    found = (getattr(model, name, None) for name in ("decoder", "text_decoder"))
    return next((part for part in found if part is not None), model)
