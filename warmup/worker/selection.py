"""Which files of a repository transformers needs: one weight format, tokenizer, configs, modules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import Use
from .source import RemoteFile

# In the order in which transformers looks for them.
_FORMATS = (
    ("model.safetensors", "model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json", r"pytorch_model-\d+-of-\d+\.bin"),
)
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_KEPT = (".json", ".txt", ".model", ".spm", ".bpe", ".codes", ".tiktoken", ".jinja", ".py", ".vocab")
# Weight lists and training leftovers that end like something useful.
_LEFT = re.compile(
    r".*\.index\.json|(flax|tf)_.*|.*results\.json|(trainer|training)_.*|readme.*|license.*|notice.*"
    r"|requirements.*\.txt|setup\.py|convert.*\.py|.*\.onnx.*|.*\.ipynb",
    re.IGNORECASE,
)
_MODULE = re.compile(r"\d+_\w+")  # sentence-transformers: 1_Pooling, 2_Dense, ...


def select_for(
    repo_id: str, files: Iterable[RemoteFile], uses: Sequence[Use], index: str | None = None
) -> tuple[RemoteFile, ...]:
    """The files of `repo_id` that `uses` need, sorted by path: as `select` finds them, or named by patterns.

    Raises WarmupError where there is none.
    """
    files = list(files)
    chosen: set[RemoteFile] = set()
    if not uses or any(use.files is None for use in uses):
        chosen.update(select(repo_id, files, index))
    for use in uses:
        named = [file for file in files if use.files is not None and _is_named(file.path, use)]
        if use.files is not None and not named:
            message = f"{repo_id} has no file that fits {', '.join(use.files)}: name another, or a revision"
            raise WarmupError(ErrorKind.FILE_NOT_FOUND, message)
        chosen.update(named)
    return tuple(sorted(chosen, key=lambda file: file.path))


def _is_named(path: str, use: Use) -> bool:
    """As huggingface_hub matches its patterns, where a folder stands for all that is in it."""

    def fits(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(path, f"{each}*" if each.endswith("/") else each) for each in patterns)

    return fits(use.files or ()) and not fits(use.left_out)


def select(repo_id: str, files: Iterable[RemoteFile], index: str | None = None) -> tuple[RemoteFile, ...]:
    """The files of `repo_id` that transformers needs, sorted by path.

    `index` is the text of the chosen weight index once it is there: it alone knows which of several shardings
    counts. Raises WarmupError where nothing in the repository is a weight file that transformers loads.
    """
    by_path = {file.path: file for file in files}
    chosen = _of_folder(by_path, "", index)
    of_modules: set[str] = set()
    if "modules.json" in by_path:
        folders = {path.split("/")[0] for path in by_path if "/" in path}
        for folder in sorted(name for name in folders if _MODULE.fullmatch(name)):
            of_modules |= _of_folder(by_path, f"{folder}/", None)
    # A first module of its own folder, as StaticEmbedding is, takes the place of a model in the root.
    first = {path for path in of_modules if path.startswith("0_")}
    if not any(_is_weight(path) for path in chosen | first):
        raise WarmupError(ErrorKind.NO_WEIGHTS, _no_weights(repo_id, by_path))
    chosen |= of_modules
    chosen |= {path for path in by_path if re.fullmatch(r"additional_chat_templates/[^/]+\.jinja", path)}
    return tuple(by_path[path] for path in sorted(chosen))


def weight_index(files: Iterable[RemoteFile]) -> str | None:
    """Path of the weight index among selected `files`, if their weights are sharded."""
    names = {file.path for file in files}
    # Of two formats that a script downloads as files, the first is transformers'.
    return next((index for _, index, _ in _FORMATS if index in names), None)


def _of_folder(by_path: Mapping[str, RemoteFile], prefix: str, index: str | None) -> set[str]:
    names = {path[len(prefix) :] for path in by_path if path.startswith(prefix)}
    names = {name for name in names if "/" not in name}
    kept = {
        name for name in names if PurePosixPath(name).suffix in _KEPT and not _LEFT.fullmatch(name)
    } | _weights(names, index)
    return {prefix + name for name in kept}


def _weights(names: set[str], index_text: str | None) -> set[str]:
    for single, index, shard in _FORMATS:
        if single in names:
            return {single}
        shards = {name for name in names if re.fullmatch(shard, name)}
        if index in names and shards:
            return {index} | (shards & _listed(index_text) if index_text else shards)
    adapter = next((name for name in _ADAPTERS if name in names and "adapter_config.json" in names), None)
    return {adapter} if adapter else set()


def _listed(index_text: str) -> set[str]:
    """Raises WarmupError where `index_text` is no weight index."""
    try:
        return {str(name) for name in json.loads(index_text)["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WarmupError(
            ErrorKind.NO_WEIGHTS, "the weight index has no weight_map: name another revision"
        ) from error


def _is_weight(path: str) -> bool:
    return path.endswith((".safetensors", ".bin"))


def _no_weights(repo_id: str, by_path: Mapping[str, RemoteFile]) -> str:
    others = sorted(
        path
        for path in by_path
        if path.endswith((".h5", ".msgpack", ".ot", ".gguf", ".onnx", ".pth", ".ckpt")) or _is_weight(path)
    )
    found = f"only {', '.join(others[:4])}" if others else "no weights at all"
    return (
        f"{repo_id}: expected model.safetensors or pytorch_model.bin, the repository has {found}. "
        "Name another model or revision, or convert it with transformers' save_pretrained."
    )
