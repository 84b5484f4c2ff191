"""The two sessions of a prepared encoder-decoder model, as a function from token ids to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, OrtValue

from ...background import Future
from ...limits import batches
from ..session import open_session
from .decoder import Decoder
from .loop import generate
from .options import Options

MAX_HELD_TOKENS = 4096
"""Tokens, read and written, that one batch keeps keys and values of: 400 MB for a BART-large."""


Encoded = tuple[list[OrtValue], NDArray[np.int64]]
"""The encoder's keys and values, in graph order, and which places of every input count (inputs, longest)."""


class Sessions:
    """The sessions of an encoder and a decoder."""

    def __init__(self, prepared: Path, *, prepack: bool = True) -> None:
        """The decoder goes on loading when this returns: the first input can be encoded meanwhile."""
        self._decoder = Future(lambda: open_session(prepared / "decoder.onnx", prepack=prepack)).start()
        self._encoder = open_session(prepared / "encoder.onnx", prepack=prepack)

    @property
    def decoder(self) -> InferenceSession:
        """The decoder's session; waits for it."""
        return self._decoder.result()

    def _encode(self, **feeds: NDArray[Any]) -> list[OrtValue]:
        values = {name: OrtValue.ortvalue_from_numpy(value) for name, value in feeds.items()}
        return list(self._encoder.run_with_ort_values(None, values))


class EncoderDecoder(Sessions):
    """Texts to texts. `generate` takes any number of inputs and runs them in padded batches."""

    def __init__(self, prepared: Path, pad_id: int, *, prepack: bool = True) -> None:
        super().__init__(prepared, prepack=prepack)
        self._pad_id = pad_id

    def generate(self, sources: Sequence[Sequence[int]], options: Options) -> list[list[list[int]]]:
        """Per source its num_return_sequences sequences, best first; a source alone gives the same."""
        results: list[list[list[int]]] = [[] for _ in sources]
        written = options.max_length * max(options.num_beams, options.num_return_sequences)
        for group in batches([len(source) + written for source in sources], MAX_HELD_TOKENS):
            batch = [sources[index] for index in group]
            encoder_kv, mask = self.encode(batch)
            answers = generate(lambda rows: Decoder(self.decoder, encoder_kv, mask, rows), batch, options)  # noqa: B023
            for index, answer in zip(group, answers, strict=True):
                results[index] = answer
        return results

    def encode(self, sources: Sequence[Sequence[int]]) -> Encoded:
        shape = (len(sources), max(len(source) for source in sources))
        ids, mask = np.full(shape, self._pad_id, np.int64), np.zeros(shape, np.int64)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            mask[row, : len(source)] = 1
        return self._encode(input_ids=ids, attention_mask=mask), mask


class SpeechEncoderDecoder(Sessions):
    """Spectrograms, all of the width that the encoder takes, to texts."""

    def encode(self, sources: Sequence[NDArray[np.float32]]) -> Encoded:
        encoder_kv = self._encode(input_features=np.ascontiguousarray(np.stack(sources)))
        return encoder_kv, np.ones((len(sources), encoder_kv[0].shape()[2]), np.int64)
