"""LoRA adapters as peft saves them: what they add to the matrices of a base model, and what they replace."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from ...protocol.records import Json
from ..request import NotPrepared
from .mapped import Place, array_of, mapped

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""Of every name: peft's wrapper around the causal language model."""
_HALVES = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])\.weight")
_READ = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "init_lora_weights"),
}
_WITHOUT_EFFECT = {
    *("task_type", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version"),
    *("lora_dropout", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"),
    # Which matrices it is about, the tensors say.
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
    *("megatron_core", "qalora_group_size"),
}
_NEUTRAL: tuple[object, ...] = (None, False, "none", 0, {}, [])
_PATTERN_SECONDS = 1.0
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Of `init_lora_weights`; the others change the base model before training."""


@dataclass(frozen=True)
class Update:
    """`scale * up @ down` is added to a matrix."""

    down: NDArray[Any]
    up: NDArray[Any]
    scale: float


@dataclass(frozen=True)
class Adapter:
    """By the names of the base model's modules and tensors, without the prefix "model."."""

    updates: Mapping[str, Update] = field(default_factory=dict)
    replaced: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Tensors that were trained as a whole."""


def read_adapter(folder: Path) -> Adapter:
    """Raises NotPrepared for what is no LoRA adapter, or a variant that is more than that."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        places = mapped(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise NotPrepared(f"the adapter has no readable {CONFIG} and {WEIGHTS}") from error
    _check(config)
    halves: dict[str, dict[str, NDArray[Any]]] = {}
    replaced = {}
    for name, place in places.items():
        if not name.startswith(_PREFIX):
            raise NotPrepared(f"the adapter's tensor {name!r} is none of a language model")
        own = name.removeprefix(_PREFIX)
        if half := _HALVES.fullmatch(own):
            halves.setdefault(half["module"], {})[half["half"]] = _fp32(name, place)
        elif "lora_" in own:
            raise NotPrepared(f"the adapter's tensor {name!r} is of a kind that is not merged here")
        else:
            replaced[own.removeprefix("model.")] = _fp32(name, place)
    if not halves and not replaced:
        raise NotPrepared(f"the adapter's {WEIGHTS} has no tensors")
    updates = {
        module.removeprefix("model."): _update(config, module, each) for module, each in halves.items()
    }
    return Adapter(updates, replaced)


def _update(config: Mapping[str, Json], module: str, halves: Mapping[str, NDArray[Any]]) -> Update:
    if set(halves) != {"A", "B"} or any(each.ndim != 2 for each in halves.values()):
        raise NotPrepared(f"the adapter has not both halves of {module}, as matrices")
    if halves["A"].shape[0] != halves["B"].shape[1]:
        raise NotPrepared(
            f"the adapter's halves of {module} are {halves['A'].shape} and {halves['B'].shape}: of two ranks"
        )
    rank = _pattern(config.get("rank_pattern"), module, config["r"])
    if rank != halves["A"].shape[0]:
        raise NotPrepared(
            f"the adapter says rank {rank} of {module}, its tensors have {halves['A'].shape[0]}"
        )
    alpha = _pattern(config.get("alpha_pattern"), module, config["lora_alpha"])
    return Update(halves["A"], halves["B"], alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _pattern(patterns: Mapping[str, float] | None, module: str, default: float) -> float:
    """A rank or alpha of some matrices, as peft looks it up: of the first pattern that ends the name.

    The patterns are regular expressions of whoever wrote the adapter: raises NotPrepared for one that is
    none, or that takes a second.
    """
    for key, value in (patterns or {}).items():
        try:
            if regex.match(rf"(.*\.)?({key})$", module, timeout=_PATTERN_SECONDS):
                return value
        except (regex.error, TimeoutError) as error:
            raise NotPrepared(f"the adapter's pattern {key!r} is not matched: {error}") from None
    return default


def _check(config: Json) -> None:
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else config
        raise NotPrepared(f"the adapter is of the kind {kind!r}; LORA is merged")
    for name in ("r", "lora_alpha"):
        if not _is_positive(config.get(name)):
            raise NotPrepared(f"the adapter's {name} is {config.get(name)!r}; expected a number above 0")
    for name in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(name) or {}
        if not isinstance(patterns, dict) or not all(map(_is_positive, patterns.values())):
            raise NotPrepared(
                f"the adapter's {name} is {patterns!r}; expected an object with numbers above 0"
            )
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        how = config["init_lora_weights"]
        raise NotPrepared(f"the adapter began as {how!r}, which changes the base model: save it converted")
    for name, value in config.items():
        if name not in _READ | _WITHOUT_EFFECT and value not in _NEUTRAL:
            raise NotPrepared(f"the adapter has {name}={value!r}, which is not merged here")


def _is_positive(number: Json) -> bool:
    return isinstance(number, int | float) and 0 < number < math.inf


def _fp32(name: str, place: Place) -> NDArray[Any]:
    return np.array(array_of(name, place), np.float32)
