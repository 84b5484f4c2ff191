"""Static embeddings from a snapshot, as it was downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from tokenizers import Tokenizer

from ..errors import EngineUnavailable
from ..sentence_embedding import NotUnderstood, read_static_rules
from ..static_embedding import StaticEmbedding
from .loading import dense_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = (torch.float16, torch.float32, torch.int8)
"""Other types numpy has not, or they are more than is needed."""


def load_static(snapshot: Path, folder: Path) -> StaticEmbedding:
    """Raises EngineUnavailable for modules that are not done here."""
    try:
        rules = read_static_rules(snapshot)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return StaticEmbedding(read_table(folder), tokenizer, rules, dense_weights(snapshot, rules))
    except NotUnderstood as problem:
        raise EngineUnavailable(f"its vectors cannot be made as its authors meant: {problem}") from problem


def read_table(folder: Path) -> NDArray[Any]:
    """(tokens, dimensions) of a StaticEmbedding, or of model2vec, which may share rows and weigh tokens.

    Raises NotUnderstood where the folder holds none.
    """
    try:
        if (folder / "model.safetensors").is_file():
            state = safetensors.torch.load_file(folder / "model.safetensors")
        else:
            state = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        table = state["embedding.weight"] if "embedding.weight" in state else _folded(state)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise NotUnderstood(f"its StaticEmbedding has no table that can be read: {error}") from error
    if table.dim() != 2:
        raise NotUnderstood(f"its StaticEmbedding's table has {table.dim()} dimensions, not 2")
    return (table if table.dtype in _KEPT else table.float()).contiguous().numpy()


def _folded(state: dict[str, torch.Tensor]) -> torch.Tensor:
    table = state["embeddings"]
    if (rows := state.get("mapping")) is not None:
        table = table[rows.long()]
    if (weights := state.get("weights")) is not None:
        table = table.float() * weights.float()[:, None]
    return table
