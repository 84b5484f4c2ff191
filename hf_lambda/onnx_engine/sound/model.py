"""One network of sound: samples to features to the graph's output, one sound at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...limits import check_attention
from ...media.samples import check_duration
from ..session import open_session
from .contract import SoundContract
from .features import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SoundModel:
    def __init__(self, contract: SoundContract, prepared: Path) -> None:
        self.contract, self._features = contract, Features(contract.recipe)
        self._session = open_session(prepared / "model.onnx")

    def run(self, wave: NDArray[Any]) -> NDArray[Any]:
        """The network's scores for samples (n,): of the whole (labels,), or (tokens, vocabulary)."""
        recipe = self.contract.recipe
        if recipe.kind == "wave":  # the others' features are of one length
            check_attention(len(wave) // recipe.hop, None, is_sound=True)
        try:
            (scores,) = self._session.run(["logits"], {"features": self._features(wave)[None]})
        except Exception as problem:  # each graph and numpy have their own
            check_duration(wave, recipe.rate, problem)
            raise
        result: NDArray[Any] = scores[0]
        return result
