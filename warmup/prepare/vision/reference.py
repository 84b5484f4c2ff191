"""transformers' own numbers for the gate's pictures, written while the model is in memory anyway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write(work: Path, model: PreTrainedModel, pixels: Sequence[NDArray[Any]], outputs: Sequence[str]) -> None:
    """Write `reference.npz`: per picture its pixels and each output, one picture at a time."""
    import torch  # the gate reads this module too, and needs none

    arrays: dict[str, NDArray[Any]] = {}
    with torch.no_grad():
        for index, values in enumerate(pixels):
            result = model(torch.from_numpy(values[None]))
            arrays[f"{index}.pixel_values"] = values
            arrays |= {f"{index}.{name}": result[name][0].numpy() for name in outputs}
    np.savez(work / "reference.npz", allow_pickle=False, **arrays)


def read(work: Path) -> list[dict[str, NDArray[Any]]]:
    """Per picture its `pixel_values` and outputs, by name."""
    found: dict[int, dict[str, NDArray[Any]]] = {}
    with np.load(work / "reference.npz") as arrays:
        for key in arrays:
            index, _, name = key.partition(".")
            found.setdefault(int(index), {})[name] = arrays[key]
    return [found[index] for index in sorted(found)]
