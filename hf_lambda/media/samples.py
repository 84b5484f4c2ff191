"""What a model is given of a sound: samples at its rate, and why it cannot hear them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import Unprocessable
from .audio import Audio
from .resampling import resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..engines import Input

_LOUDEST = 1e6
"""Samples that are larger overflow in features, and the answer is no number."""
_SHORTEST_S = 0.1
"""Sound that is shorter may have no window of features, which each model says in another way."""


def heard(item: Input, rate: int) -> NDArray[Any]:
    """Samples (n,) float32 at `rate` Hz of what a request or a script brings.

    Raises Unprocessable for what is no sound: NaN, infinity, or far beyond full scale.
    """
    if isinstance(item, Audio):
        samples = item.samples(rate)
    elif isinstance(item, dict):
        samples = resampled(np.asarray(item["raw"], np.float32), int(item["sampling_rate"]), rate)
    else:
        samples = np.asarray(item, np.float32)
    loudest = float(abs(samples).max(initial=0.0))
    if not loudest <= _LOUDEST:  # NaN is not either
        raise Unprocessable(
            None, f"the sound has samples of {loudest:.3g}, where full scale is 1: no model can hear that"
        )
    return samples


def check_duration(samples: NDArray[Any], rate: int, problem: Exception) -> None:
    """Raises Unprocessable where the sound is so short that this is why a model met `problem`."""
    seconds = len(samples) / rate
    if seconds < _SHORTEST_S:
        raise Unprocessable(
            None, f"{seconds:.3f} seconds of sound are too short for this model: send more"
        ) from problem
