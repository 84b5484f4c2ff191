"""Tensors of a snapshot's safetensors files, with what an adapter changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..loading import load_config
from ..request import NotPrepared
from .adapter import Adapter
from .architecture import Architecture, architecture_of, shapes_of
from .blocks import pieces
from .mapped import Place, array_of, mapped

_PREFIX = "model."
"""Of every name but the head's; checkpoints of the base model alone lack it."""
_EMBEDDING, _HEAD = "embed_tokens.weight", "lm_head.weight"


def open_model(snapshot: Path, adapter: Adapter | None = None) -> tuple[Architecture, Tensors]:
    """The model of a snapshot as transformers loads it: what its files hold beside is left out, and whether
    embedding and head are one table the files say too. Raises NotPrepared."""
    config = load_config(snapshot)
    shape = architecture_of(config)
    tensors = Tensors(snapshot, adapter, shapes_of(config))
    return replace(shape, is_tied=shape.is_tied and tensors.tie()), tensors


class Tensors:
    """`tensors["layers.0.self_attn.q_proj.weight"]` as it is stored; names are the base model's.

    What an adapter changes comes in fp32, merged when it is asked for: one matrix at a time is in memory.
    """

    def __init__(
        self,
        snapshot: Path,
        adapter: Adapter | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        """shapes: of what is read, where the files may hold more.

        Raises NotPrepared where there is nothing to read, it has other shapes, or the adapter is of another
        model.
        """
        self._at: dict[str, Place] = {}
        self._adapter = adapter or Adapter()
        files = sorted(snapshot.glob("*.safetensors"))
        if not files:
            raise NotPrepared("the model has no safetensors files; its graph is written from these alone")
        for file in files:
            self._at |= {name.removeprefix(_PREFIX): place for name, place in mapped(file).items()}
        if shapes is not None:
            self._at = {name: place for name, place in self._at.items() if name in shapes}
            self._check_shapes(shapes)
        self._check_adapter()

    def tie(self) -> bool:
        """Have one table for embedding and head, whichever is stored; False where both are, and differ:
        transformers then believes the weights and not the config."""
        if _HEAD not in self:
            return True
        if _EMBEDDING not in self:
            self._at[_EMBEDDING] = self._at.pop(_HEAD)
            return True
        both = (array_of(name, self._at[name]) for name in (_EMBEDDING, _HEAD))
        return all(np.array_equal(*pair) for pair in zip(*map(pieces, both), strict=True))

    @property
    def names(self) -> list[str]:
        return list(self._at)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A numpy array. Raises NotPrepared where there is none, or of another type."""
        if name not in self._at:
            raise NotPrepared(f"the checkpoint has no tensor {name!r}")
        if name in self._adapter.replaced:
            return self._adapter.replaced[name]
        stored = array_of(name, self._at[name])
        update = self._adapter.updates.get(name.removesuffix(".weight"))
        if update is None:
            return stored
        merged: NDArray[Any] = np.matmul(update.up, update.down)
        merged *= np.float32(update.scale)
        merged += stored
        return merged

    def fp32(self, name: str) -> NDArray[Any]:
        """A copy; for norms and biases, never for a matrix."""
        return np.asarray(self[name], np.float32)

    def _check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for name, (_, _, stored, _) in self._at.items():
            if tuple(stored) != shapes[name]:
                raise NotPrepared(
                    f"the tensor {name!r} has the shape {tuple(stored)}, by config.json it is {shapes[name]}"
                )

    def _check_adapter(self) -> None:
        adapter = self._adapter
        shapes = {
            **{f"{name}.weight": (len(one.up), one.down.shape[1]) for name, one in adapter.updates.items()},
            **{name: one.shape for name, one in adapter.replaced.items()},
        }
        for name, shape in shapes.items():
            has = tuple(self._at[name][2]) if name in self._at else None
            if has != tuple(shape):
                what = f"of the shape {has}" if has else "not there"
                raise NotPrepared(
                    f"the adapter changes {name!r} as {tuple(shape)}, in the base model it is {what}"
                )
