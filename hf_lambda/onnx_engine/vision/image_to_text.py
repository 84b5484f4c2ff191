"""image-to-text: what is written or to be seen in a picture, as transformers 4's pipeline gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ... import deadline
from ...background import Future
from ...engines import Input
from ...records import Json
from ..generation.asked import asked_options
from ..generation.decoder import Decoder
from ..generation.encoder_decoder import Encoded, Sessions
from ..generation.loop import generate
from ..generation.options import Options
from ..tokenizer import cleaned_up, load_tokenizer
from .contract import ImageToTextContract
from .model import opened
from .pixels import PixelMaker

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load(contract: ImageToTextContract, prepared: Path) -> ImageToText:
    """The engine over the folder `prepared`; its decoder goes on loading when this returns."""
    pillow = Future(lambda: import_module("PIL.ImageOps")).start()
    tokenizer = Future(lambda: load_tokenizer(prepared)).start()
    model = ImageEncoderDecoder(prepared)
    pillow.result()
    return ImageToText(contract, tokenizer.result(), model)


class ImageEncoderDecoder(Sessions):
    """Pixels, all of the size that the encoder takes, to texts."""

    def encode(self, sources: Sequence[NDArray[np.float32]]) -> Encoded:
        encoder_kv = self._encode(pixel_values=np.stack(sources))
        return encoder_kv, np.ones((len(sources), encoder_kv[0].shape()[2]), np.int64)

    def generate(self, pixels: NDArray[np.float32], options: Options) -> list[list[int]]:
        """The num_return_sequences sequences for one picture, best first, with what they started with."""
        encoder_kv, mask = self.encode([pixels])
        (answer,) = generate(lambda rows: Decoder(self.decoder, encoder_kv, mask, rows), [[0]], options)
        return answer


class ImageToText:
    def __init__(
        self, contract: ImageToTextContract, tokenizer: Tokenizer, model: ImageEncoderDecoder
    ) -> None:
        self._contract, self._tokenizer, self._model = contract, tokenizer, model
        self._pixels = PixelMaker(contract.recipe)

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per picture a list of `{"generated_text"}`, of one or of `num_return_sequences`."""
        options = self._options(parameters)
        return [self._answer(item, options) for item in inputs]

    def _answer(self, item: Input, options: Options) -> list[Json]:
        deadline.check()
        sequences = self._model.generate(self._pixels(opened(item)), options)
        return [{"generated_text": written(ids, self._tokenizer, self._contract)} for ids in sequences]

    def _options(self, parameters: Mapping[str, Json]) -> Options:
        contract = self._contract
        prompt: list[int] = []
        if (text := parameters.get("prompt")) is not None:
            prompt = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
            start = parameters.get("decoder_start_token_id", contract.generation["decoder_start_token_id"])
            if not contract.starts_with_prompt and prompt[:1] != [start]:
                prompt = [start, *prompt]
        # These look at the tokens of the source: a picture has none, and transformers passes over them.
        chosen = {name: value for name, value in parameters.items() if not name.startswith("encoder_")}
        return asked_options(
            chosen,
            contract.generation,
            max_position=contract.max_position,
            vocabulary=contract.vocabulary,
            prompt=prompt,
        )


def written(ids: Sequence[int], tokenizer: Tokenizer, contract: ImageToTextContract) -> str:
    """The text of generated tokens, without special ones."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True)
    return cleaned_up(text) if contract.cleanup else text
