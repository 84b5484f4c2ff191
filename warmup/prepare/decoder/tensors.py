"""Tensors of a snapshot's safetensors files, mapped: nothing is read before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ..outcome import NotPrepared

_DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
_PREFIX = "model."
"""Of every name but the head's; checkpoints of the base model alone lack it."""


class Tensors:
    """`tensors["layers.0.self_attn.q_proj.weight"]` as it is stored; names are the base model's."""

    def __init__(self, snapshot: Path) -> None:
        self._at: dict[str, tuple[Any, str, list[int], list[int]]] = {}
        files = sorted(snapshot.glob("*.safetensors"))
        if not files:
            raise NotPrepared("the model has no safetensors files; its graph is written from these alone")
        for file in files:
            data = np.memmap(file, np.uint8, "r")
            size = int(data[:8].view(np.uint64)[0])
            for name, entry in json.loads(bytes(data[8 : 8 + size])).items():
                if name != "__metadata__":
                    body = data[8 + size :]
                    place = (body, entry["dtype"], entry["shape"], entry["data_offsets"])
                    self._at[name.removeprefix(_PREFIX)] = place

    @property
    def names(self) -> list[str]:
        return list(self._at)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def __getitem__(self, name: str) -> Any:
        """A numpy array over the file. Raises NotPrepared where there is none, or of another type."""
        if name not in self._at:
            raise NotPrepared(f"the checkpoint has no tensor {name!r}")
        body, dtype, shape, (start, end) = self._at[name]
        if dtype not in _DTYPES:
            known = ", ".join(_DTYPES)
            raise NotPrepared(f"the tensor {name!r} is stored as {dtype}; the graph is written from {known}")
        return body[start:end].view(_DTYPES[dtype]).reshape(shape)

    def fp32(self, name: str) -> Any:
        """A copy; for norms and biases, never for a matrix."""
        return np.asarray(self[name], np.float32)
