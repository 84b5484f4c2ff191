"""Models and tokenizers from a snapshot folder: offline, weights only, ready to infer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from ..errors import Unprocessable
from ..threads import thread_count

MAX_PADDED_TOKENS = 4096
"""Rows times longest row of one batch, what is generated counted in: keys and values of all of it are held.
On two vCPUs a larger batch is no faster, only bigger."""
NO_LIMIT = 1_000_000
"""transformers writes 10**30 where a tokenizer has no maximum."""


def load_model(auto_class: Any, snapshot: Path, **options: Any) -> Any:
    """`auto_class.from_pretrained` in float32, unless `options` has another `dtype`.

    Pickled weights go through torch's weights-only reader: a file that wants to run code is refused.
    """
    torch.set_num_threads(thread_count())
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options = {"dtype": torch.float32, **options}
    model = auto_class.from_pretrained(
        str(snapshot), local_files_only=True, weights_only=True, trust_remote_code=False, **options
    )
    return model.eval()


def load_tokenizer(snapshot: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(
        str(snapshot), local_files_only=True, trust_remote_code=False
    )


def max_position(model: Any) -> int | None:
    """How many tokens `model` can take: the size of its table of absolute positions, None without one."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in ("position_embeddings", "embed_positions", "wpe"):
            continue
        if isinstance(module, torch.nn.Embedding):
            return int(module.num_embeddings) - _unused(module)
    return None


def check_length(lengths: list[int], most: int | None, *, remedy: str) -> None:
    """Raises Unprocessable, with the numbers, where an input has more than `most` tokens."""
    longest = max(lengths, default=0)
    if most is not None and longest > most:
        raise Unprocessable(None, f"the text has {longest} tokens, the model takes at most {most}: {remedy}")


def max_length(tokenizer: Any, model: Any) -> int | None:
    """Tokens to truncate to; None where neither tokenizer nor model has a limit."""
    known = [tokenizer.model_max_length, max_position(model)]
    return min((limit for limit in known if limit and limit < NO_LIMIT), default=None)


def _unused(table: torch.nn.Embedding) -> int:
    """Rows that no token ever uses: BART begins at its `offset`, RoBERTa after the padding's row."""
    if "Sinusoidal" in type(table).__name__:
        return 0
    offset = getattr(table, "offset", None)
    if offset is not None:
        return int(offset)
    return table.padding_idx + 1 if table.padding_idx is not None else 0
