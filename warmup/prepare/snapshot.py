"""What a snapshot's files say before anything is loaded."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..protocol.records import Json

_HALF = ("float16", "bfloat16")


def config_of(snapshot: Path) -> Mapping[str, Json]:
    """config.json; empty where there is none that can be read."""
    try:
        document = json.loads((snapshot / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def fp32_bytes(snapshot: Path) -> int:
    """Size of the weights in fp32, whatever they are stored in."""
    shapes = [shape for path in snapshot.glob("*.safetensors") for shape in _shapes(path)]
    if shapes:
        return 4 * sum(math.prod(shape) for shape in shapes)
    stored = sum(path.stat().st_size for path in snapshot.glob("pytorch_model*.bin"))
    config = config_of(snapshot)
    return stored * (2 if config.get("dtype", config.get("torch_dtype")) in _HALF else 1)


def _shapes(path: Path) -> Iterator[list[int]]:
    """Shapes of the tensors of a safetensors file; none where its header is damaged."""
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            yield from [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
            return
