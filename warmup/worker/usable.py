"""Refuses a snapshot whose files cannot be a model, in a sentence of ours: loading it would say less."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

from hf_lambda.records import read_file
from hf_lambda.repo_id import is_repo_id

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.records import Json
from .source import Snapshot

_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_HEADER = 100_000_000
"""What safetensors itself takes."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FIX = "Name another model or revision"


def check_usable(repo_id: str, snapshot: Snapshot) -> None:
    """Raises WarmupError for an adapter, a broken config, a pointer for a file, a file that was cut."""
    names = {file.path for file in snapshot.files}
    reason = config_problem(repo_id, snapshot.path, names) or _of_index(snapshot.path, names)
    for file in snapshot.files:
        reason = reason or _of_file(snapshot.path / file.path)
    if reason:
        raise WarmupError(ErrorKind.UNUSABLE, f"{repo_id} {reason}")


def config_problem(repo_id: str, folder: Path, names: Collection[str]) -> str | None:
    """Why `repo_id`, whose configs lie in `folder`, with files `names`, is no model; None: it is."""
    if "config.json" in names:
        try:
            document = json.loads(read_file(folder / "config.json"))
        except (ValueError, RecursionError) as error:
            return f"has a config.json that is not JSON ({error}). {_FIX}"
        if not isinstance(document, dict):
            return f"has a config.json that is not an object. {_FIX}"
        return None
    if "adapter_config.json" in names:
        config = _object(folder / "adapter_config.json")
        base, revision = (config.get(key) for key in ("base_model_name_or_path", "revision"))
        known = isinstance(base, str) and is_repo_id(base)
        is_commit = isinstance(revision, str) and _COMMIT.fullmatch(revision)
        pinned = f'revision="{revision}"' if is_commit else "revision=... (pin it)"
        named = f'model="{base}", {pinned}' if known else f"model=..., {pinned}"
        return (
            f"is an adapter{f' of {base}' if known else ''}, not a model: name the model itself, and the "
            f'adapter beside it where it is LoRA: {named}, adapter="{repo_id}", engine="onnx"'
        )
    if "modules.json" in names:
        return None  # sentence-transformers has modules without one
    return f"has no config.json, which says what model it is. {_FIX}"


def _of_index(folder: Path, names: set[str]) -> str | None:
    for name in names:
        if name.endswith((".safetensors.index.json", ".bin.index.json")) and "/" not in name:
            listed = _object(folder / name).get("weight_map")
            shards = {str(each) for each in listed.values()} if isinstance(listed, dict) else set()
            if lacking := sorted(shards - names):
                more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
                return f"lacks weight files that {name} lists: {', '.join(lacking[:3])}{more}. {_FIX}"
    return None


def _of_file(path: Path) -> str | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(len(_POINTER))
    if begin == _POINTER:
        what = f"holds a pointer of Git LFS in the place of {path.name}"
        return f"{what}: the file itself was never uploaded. {_FIX}"
    if path.suffix == ".safetensors":
        needed = _bytes_needed(path, size)
        if needed is not None and size < needed:
            return f"has a {path.name} that ends after {size:,} of {needed:,} bytes: it was cut. {_FIX}"
    if path.suffix == ".bin" and begin[:2] == b"PK" and not zipfile.is_zipfile(path):
        return f"has a {path.name} without the end that such a file has: it was cut. {_FIX}"
    return None


def _bytes_needed(path: Path, size: int) -> int | None:
    """How long the file is by its own header; None where it has none: that is for the loader to name."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 9 or length > _LARGEST_HEADER or file.read(1) != b"{":
            return None
        if 8 + length > size:
            return 8 + length
        file.seek(8)
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return None
    ends = [each["data_offsets"][1] for each in header.values() if _has_offsets(each)]
    return 8 + length + max(ends, default=0)


def _has_offsets(entry: Json) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, Mapping) else None
    return isinstance(offsets, list) and len(offsets) == 2 and all(isinstance(each, int) for each in offsets)


def _object(path: Path) -> dict[str, Json]:
    try:
        document = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
