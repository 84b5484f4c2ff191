"""Models and tokenizers from a snapshot folder: offline, weights only, ready to infer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
import transformers
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from .. import deadline
from ..errors import Unprocessable, UntrainedHead, WrongTokenizer
from ..limits import check_attention
from ..log import note_truncated
from ..records import Json
from ..sentence_embedding import EmbeddingRules, NotUnderstood
from ..threads import thread_count
from .code import code_options
from .trained import find_untrained

if TYPE_CHECKING:
    from transformers import AutoModel

MAX_PADDED_TOKENS = 4096
"""Rows times longest row of one batch, what is generated counted in: keys and values of all of it are held.
On two vCPUs a larger batch is no faster, only bigger."""
NO_LIMIT = 1_000_000
"""transformers writes 10**30 where a tokenizer has no maximum."""


def load_model(auto_class: type[AutoModel], snapshot: Path, **options: Json) -> PreTrainedModel:
    """`auto_class.from_pretrained` in float32, unless `options` has another `dtype`.

    Pickled weights go through torch's weights-only reader: a file that wants to run code is refused.
    Raises UntrainedHead where the repository lacks weights that `auto_class` needs.
    """
    torch.set_num_threads(thread_count())
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options = {"dtype": torch.float32, **options}
    model, report = auto_class.from_pretrained(
        str(snapshot),
        local_files_only=True,
        weights_only=True,
        output_loading_info=True,
        **code_options(),
        **options,
    )
    _check_weights(model, report["missing_keys"])
    for part in {model, *_layers(model)}:
        part.register_forward_pre_hook(lambda *_: deadline.check())
    return model.eval()


def in_time(pipeline: transformers.Pipeline) -> transformers.Pipeline:
    """`pipeline`, asking for every input, not only for every batch, whether there is time left."""
    for name in ("preprocess", "postprocess"):
        setattr(pipeline, name, _checked(getattr(pipeline, name)))
    return pipeline


def _checked(step: Callable[..., Json]) -> Callable[..., Json]:
    @wraps(step)
    def checked(*arguments: Json, **named: Json) -> Json:
        deadline.check()
        return step(*arguments, **named)

    return checked


def _layers(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """What a model runs one after the other: a large one computes for seconds before it is through."""
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList | torch.nn.Sequential):
            yield from module


def load_tokenizer(snapshot: Path) -> PreTrainedTokenizerBase:
    """The tokenizer as transformers runs it.

    Raises WrongTokenizer where the repository has none: transformers would make up one of a few tokens.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        str(snapshot), local_files_only=True, **code_options()
    )
    _check_vocabulary(tokenizer, snapshot)
    return tokenizer


def _check_weights(model: PreTrainedModel, missing: Iterable[str]) -> None:
    found = find_untrained(model, missing)
    if found is None:
        return
    name, trained = type(model).__name__, found.trained_as
    shown, more = ", ".join(found.missing[:3]), len(found.missing) - 3
    raise UntrainedHead(
        f"the repository has no weights for {shown}{f' and {more} more' if more > 0 else ''} "
        f"as {name} needs them"
        + (f": it was trained as {trained}" if trained not in (None, name) else "")
        + (f", for {found.trained_for}" if trained not in (None, name) and found.trained_for else "")
        + ". Take a model that was trained for the task"
    )


def _check_vocabulary(tokenizer: PreTrainedTokenizerBase, snapshot: Path) -> None:
    """A vocabulary may be a little smaller than the model's table, which is padded, or have a few more."""
    size, expected = len(tokenizer), _vocabulary_size(snapshot)
    files = sorted({name for name in type(tokenizer).vocab_files_names.values() if name})
    has_files = not files or any((snapshot / name).is_file() for name in files)
    if expected / 2 <= size <= expected * 2 if expected else has_files:
        return
    found = f"a tokenizer of {size} tokens" if has_files else f"no tokenizer ({', '.join(files)})"
    raise WrongTokenizer(
        f"the repository has {found}, and its model a vocabulary of {expected or 'unknown size'}: "
        "texts would be read as other words. Save the model's own tokenizer with it"
    )


def _vocabulary_size(snapshot: Path) -> int | None:
    """That of config.json, of its text part where it has several; None where it says nothing."""
    try:
        config = json.loads((snapshot / "config.json").read_bytes())
        size = config.get("vocab_size") or (config.get("text_config") or {}).get("vocab_size")
        return int(size) if size else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def dense_weights(snapshot: Path, rules: EmbeddingRules) -> dict[str, Json]:
    """Weights of the dense layers of a sentence-transformers repository, as SentenceEmbedder takes them.

    Raises NotUnderstood where they are not there.
    """
    weights: dict[str, Json] = {}
    for index, layer in enumerate(rules.layers):
        if layer.kind != "dense":
            continue
        folder = snapshot / layer.folder
        try:
            state = _state(folder)
            weights[f"{index}.weight"] = state["linear.weight"]
        except (OSError, KeyError, ValueError) as error:
            raise NotUnderstood(f"its dense layer {layer.folder} has no weights that can be read") from error
        for name, key in (("bias", "linear.bias"), ("residual", "residual.weight")):
            if key in state:
                weights[f"{index}.{name}"] = state[key]
    return weights


def _state(folder: Path) -> dict[str, Json]:
    """The tensors of a module's folder as fp32 arrays."""
    if (folder / "model.safetensors").is_file():
        state = safetensors.torch.load_file(folder / "model.safetensors")
    else:
        state = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return {name: tensor.float().numpy() for name, tensor in state.items()}


def max_position(model: PreTrainedModel) -> int | None:
    """How many tokens `model` can take: the size of its table of absolute positions, None without one."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in ("position_embeddings", "embed_positions", "wpe"):
            continue
        if isinstance(module, torch.nn.Embedding):
            return int(module.num_embeddings) - _unused(module)
    return None


def check_length(lengths: list[int], most: int | None, *, remedy: str, heads: int | None = None) -> None:
    """Raises Unprocessable, with the numbers, where an input has more than `most` tokens, or the
    function's memory cannot hold what `heads` make of them."""
    longest = max(lengths, default=0)
    if most is not None and longest > most:
        raise Unprocessable(None, f"the text has {longest} tokens, the model takes at most {most}: {remedy}")
    if most is None and heads:  # elsewhere torch keeps no score for every pair of tokens
        check_attention(longest, heads)


def encoded_to(limit: int | None, encode: Callable[..., BatchEncoding]) -> BatchEncoding:
    """What `encode` makes of texts, cut to `limit` tokens; the request is told how many were cut.

    encode: takes a tokenizer's `truncation` and `max_length`.
    """
    encoded = encode(truncation=False)
    cut = sum(limit is not None and len(ids) > limit for ids in encoded["input_ids"])
    note_truncated(cut)
    return encode(truncation=True, max_length=limit) if cut else encoded


@contextmanager
def cut_at(tokenizer: PreTrainedTokenizerBase, side: str | None) -> Iterator[None]:
    """`tokenizer` cuts there, "left" or "right"; None: where it does by itself."""
    before = tokenizer.truncation_side
    tokenizer.truncation_side = side or before
    try:
        yield
    finally:
        tokenizer.truncation_side = before


def max_length(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int | None:
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


def heads_of(model: PreTrainedModel) -> int | None:
    """Attention heads of a layer, by the names that configs have for them; None where there is none."""
    names = ("num_attention_heads", "num_heads", "n_head", "n_heads", "encoder_attention_heads")
    found = [getattr(model.config, name, None) for name in names]
    return next((count for count in found if isinstance(count, int) and count > 0), None)
