"""Which weights of a task a snapshot lacks: `python -m warmup.worker.untrained <snapshot> <task> ...`.

transformers compares names and shapes. Weights are read one by one, for what is no number: that takes the
memory of the libraries and of the largest weight.
"""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers.quantizers import AutoHfQuantizer

from hf_lambda.ranking import is_judge
from hf_lambda.tasks import AUTO_CLASSES, HEADS
from hf_lambda.torch_engine.code import NEEDS_CODE, needs_code
from hf_lambda.torch_engine.trained import Untrained, find_untrained

from .suitability import Comparison, TaskComparison


def compare(snapshot: Path, tasks: Sequence[str]) -> Comparison:
    """What the weights of `snapshot` say of each of `tasks`."""
    if needs_code(snapshot):
        return Comparison(needs_code=NEEDS_CODE)
    try:
        check_numbers(snapshot)
    except Unusable as reason:
        return Comparison(unusable=str(reason))
    except Exception as error:  # noqa: BLE001 - what any library says of weights that it cannot read
        return Comparison({task: TaskComparison(failed=_said(error)) for task in tasks})
    return Comparison({task: _compare(snapshot, task) for task in tasks})


def _compare(snapshot: Path, task: str) -> TaskComparison:
    try:
        return TaskComparison(untrained_for(task, snapshot))
    except Unusable as reason:
        return TaskComparison(unusable=str(reason))
    except NotComparable as reason:
        return TaskComparison(not_comparable=str(reason))
    except Exception as error:  # noqa: BLE001 - of one task; the others are compared
        return TaskComparison(failed=_said(error))


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def untrained_for(task: str, snapshot: Path) -> Untrained | None:
    """What the snapshot lacks for `task`; None where all is there. Raises NotComparable."""
    auto_class = AUTO_CLASSES.get(HEADS.get(task, ""))
    if auto_class is None:
        raise NotComparable(f"there is no one class of transformers that loads a model for {task}")
    config = transformers.AutoConfig.from_pretrained(str(snapshot), trust_remote_code=False)
    if task == "text-ranking" and is_judge(config.to_dict()):
        auto_class = AUTO_CLASSES["causal-lm"]
    mapping = getattr(transformers, auto_class)._model_mapping
    if type(config) not in mapping:
        raise NotComparable(f"transformers' {auto_class} knows no {config.model_type}")
    _check_quantised(config)
    model_class = mapping[type(config)]
    if isinstance(model_class, tuple):
        model_class = model_class[0]
    # Memory of these is never written, so the system never gives it.
    state = {name: torch.empty(shape) for name, shape in _shapes(snapshot)}
    model, loading = model_class.from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=torch.float32,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    if mismatched := sorted(loading["mismatched_keys"]):
        name, found, needed = mismatched[0]
        more = f" and {len(mismatched) - 1} more" if len(mismatched) > 1 else ""
        raise Unusable(
            f"the weights have other shapes than config.json says: {name} is {_sizes(found)}, "
            f"{model_class.__name__} needs {_sizes(needed)}{more}. Name another model or revision"
        )
    return find_untrained(model, loading["missing_keys"])


def _check_quantised(config: transformers.PreTrainedConfig) -> None:
    """Raises Unusable where reading quantised weights takes what is not here: a package, a GPU."""
    quantised = getattr(config, "quantization_config", None)
    if not isinstance(quantised, dict):
        return
    method = quantised.get("quant_method", "bitsandbytes")
    try:
        if not AutoHfQuantizer.supports_quant_method(quantised):
            return  # transformers passes over it, too
        AutoHfQuantizer.from_config(quantised, pre_quantized=True).validate_environment(
            device_map=None, weights_only=True
        )
    except Exception as error:
        raise Unusable(
            f"its weights are quantised ({method}), which is not read here ({_said(error)}). Name the "
            "repository that it was made from: it is quantised here"
        ) from error


class NotComparable(Exception):  # noqa: N818 - a sentence for the operator
    """Why nobody can tell which weights a task needs."""


class Unusable(Exception):  # noqa: N818 - a sentence for the operator
    """Why the weights cannot answer anything."""


def check_numbers(snapshot: Path) -> None:
    """Raises Unusable where a weight holds something that is no number."""
    for path in _weight_files(snapshot):
        for name, tensor in _tensors(path):
            if tensor.is_floating_point() and (what := _no_number(name, tensor.float())):
                raise Unusable(
                    f"the weight {name} in {path.relative_to(snapshot)} holds {what}, and so do the answers. "
                    "Name another model or revision"
                )


def _weight_files(snapshot: Path) -> list[Path]:
    """What transformers reads, and sentence-transformers in the folders of its modules: pickles only where
    there is nothing else."""
    folders = [snapshot, *sorted(path.parent for path in snapshot.glob("[0-9]*_*/config.json"))]
    found: list[Path] = []
    for folder in folders:
        found += sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    return found


def _tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """One by one; a pickle stays on the disk but for what is looked at, where its format allows it."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                yield name, file.get_tensor(name)
        return
    yield from _unpickled(path, map_location="cpu", mmap=zipfile.is_zipfile(path))


def _unpickled(path: Path, *, map_location: str, mmap: bool) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a pickle, of which nothing else is read. Raises Unusable where it holds code."""
    try:
        state = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        try:
            code = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except (ValueError, RuntimeError):  # a pickle of the format before zip files, or none at all
            code = []
        what = f": {', '.join(sorted(code)[:3])} would run" if code else ""
        raise Unusable(
            f"{path.name} cannot be read as weights alone{what}. It was not run. Name another model or "
            "revision, best one with safetensors"
        ) from error
    return [(name, each) for name, each in state.items() if isinstance(each, torch.Tensor)]


def _no_number(name: str, tensor: torch.Tensor) -> str | None:
    if bool(torch.isnan(tensor).any()):
        return "NaN"
    # Beside weights, masks of -inf are kept.
    is_weight = name.endswith(("weight", "bias"))
    return "infinity" if is_weight and bool(torch.isinf(tensor).any()) else None


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _shapes(snapshot: Path) -> Iterable[tuple[str, Sequence[int]]]:
    for path in sorted(snapshot.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                yield name, file.get_slice(name).get_shape()
    if not list(snapshot.glob("*.safetensors")):
        for path in sorted(snapshot.glob("pytorch_model*.bin")):
            yield from (
                (name, each.shape) for name, each in _unpickled(path, map_location="meta", mmap=False)
            )


def main(arguments: list[str]) -> None:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    comparison = compare(Path(arguments[0]), arguments[1:])
    sys.stdout.write(f"{json.dumps(comparison.to_json())}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
