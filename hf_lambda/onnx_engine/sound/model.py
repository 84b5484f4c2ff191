"""One network of sound: samples to features to the graph's output, one sound at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines import Input
from ...limits import check_attention
from ...media.audio import Audio
from ...media.resampling import resampled
from ..session import open_session
from .contract import SoundContract
from .features import Features


class SoundModel:
    def __init__(self, contract: SoundContract, prepared: Path) -> None:
        self.contract, self._features = contract, Features(contract.recipe)
        self._session = open_session(prepared / "model.onnx")

    def run(self, wave: NDArray[Any]) -> NDArray[Any]:
        """The network's scores for samples (n,): of the whole (labels,), or (tokens, vocabulary)."""
        if (ctc := self.contract.ctc) is not None:
            check_attention(len(wave) // ctc.stride, None, is_sound=True)
        (scores,) = self._session.run(["logits"], {"features": self._features(wave)[None]})
        result: NDArray[Any] = scores[0]
        return result


def heard(item: Input, rate: int) -> NDArray[Any]:
    """Samples (n,) float32 at `rate` Hz of what a request or a script brings."""
    if isinstance(item, Audio):
        return item.samples(rate)
    if isinstance(item, dict):
        return resampled(np.asarray(item["raw"], np.float32), int(item["sampling_rate"]), rate)
    return np.asarray(item, np.float32)
