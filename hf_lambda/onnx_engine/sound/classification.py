"""audio-classification, in the shape of transformers' pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...engines import Input
from ...media.samples import heard
from ...records import Json
from ..vision.classification import TOP_K, applied, ranked
from .contract import SoundContract
from .model import SoundModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AudioClassification:
    def __init__(self, model: SoundModel) -> None:
        self._model = model

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per sound its labels, best first; `top_k=None` asks for all of them."""
        contract = self._model.contract
        top_k = parameters.get("top_k", TOP_K)
        function = parameters.get("function_to_apply")
        return [
            ranked(
                scores(self._model.run(heard(item, contract.recipe.rate)), function, contract),
                contract.labels,
                len(contract.labels) if top_k is None else top_k,
            )
            for item in inputs
        ]


def scores(logits: NDArray[Any], function: str | None, contract: SoundContract) -> NDArray[Any]:
    """By what was asked for or what the model was trained for; one label alone gets a softmax too."""
    problem = contract.problem_type or "single_label_classification"
    if function in (None, "default") and problem == "single_label_classification":
        function = "softmax"
    return applied(logits, function, problem, len(contract.labels))
