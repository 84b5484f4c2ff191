"""Steps the decoder graph: holds the past and the encoder's keys and values between steps, where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .processors import Ids, Scores


class Decoder:
    """The decoder over one batch. The past stays in onnxruntime's own buffers; a step copies no more."""

    def __init__(
        self,
        session: ort.InferenceSession,
        encoder_kv: list[ort.OrtValue],
        mask: NDArray[np.int64],
        rows: int,
    ) -> None:
        """encoder_kv: the encoder's keys and values as OrtValues, in graph order; mask: (inputs, source)."""
        self._session = session
        inputs = {value.name: value for value in session.get_inputs()}
        self._outputs = [value.name for value in session.get_outputs()]
        names = [name for name in inputs if name.startswith("cross_")]
        self._fixed = dict(zip(names, encoder_kv, strict=True))
        self._fixed["encoder_attention_mask"] = _value(mask)
        self._mask = mask
        self._past = {}
        for name, value in inputs.items():
            if name.startswith("past_"):
                heads, size = value.shape[1], value.shape[3]
                self._past[name] = _value(np.zeros((rows, heads, 0, size), np.float32))

    def step(self, tokens: Ids, origin: Ids) -> Scores:
        """Feed `tokens` (rows), each going on from row `origin` of the last step; logits (rows, V)."""
        feeds = {**self._fixed, **self._past}
        feeds["input_ids"] = _value(np.ascontiguousarray(tokens[:, None]))
        feeds["beam_idx"] = _value(np.ascontiguousarray(origin))
        logits, *grown = self._session.run_with_ort_values(self._outputs, feeds)
        names = (name.replace("new_", "past_", 1) for name in self._outputs[1:])
        self._past = dict(zip(names, grown, strict=True))
        scores: Scores = logits.numpy()[:, 0]
        return scores

    def keep(self, inputs: list[int]) -> None:
        """Go on with these inputs of the batch alone; the next `origin` counts rows of the last step."""
        self._mask = np.ascontiguousarray(self._mask[inputs])
        kept = {
            name: _value(np.ascontiguousarray(value.numpy()[inputs])) for name, value in self._fixed.items()
        }
        self._fixed = kept


def _value(array: NDArray[Any]) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(array)
