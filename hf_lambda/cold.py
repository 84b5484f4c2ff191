"""`coldDownload`: the first request downloads the model, as in a stack without a warm-up."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .errors import ColdCache
from .manifest import DEFAULT_REVISION, CachedFile, Manifest, read_manifest, repo_folder, write_manifest

_SMALL = ["*.json", "*.txt", "*.model", "*.spm", "*.jinja", "*.bpe", "*.codes", "*.tiktoken"]
_NEVER = ["onnx/*", "openvino/*", "*.onnx*", "tf_*", "flax_*", "rust_*"]


def download(cache: Path, model: str, revision: str | None, environ: Mapping[str, str]) -> Manifest:
    """Fetch `model` into the Hub's cache layout and publish its manifest.

    Cold starts at the same time wait for the one that downloads. Raises ColdCache where the image has no
    huggingface_hub, and what huggingface_hub raises.
    """
    with _lock(cache / "locks" / f"{repo_folder(model)}.cold.lock"):
        try:
            return read_manifest(cache, model, revision, environ=environ)
        except ColdCache as cold:
            try:
                from huggingface_hub import snapshot_download
            except ImportError:
                raise cold from None
        weights = _weights(model, revision)
        snapshot = Path(
            snapshot_download(
                model,
                revision=revision,
                cache_dir=cache / "hub",
                allow_patterns=[*_SMALL, weights],
                ignore_patterns=_NEVER,
            )
        )
        manifest = _manifest(cache, model, revision, snapshot)
        write_manifest(cache, manifest)
        return manifest


def _weights(model: str, revision: str | None) -> str:
    """One weight format: safetensors, and pickle only where there is nothing else."""
    from huggingface_hub import HfApi

    names = HfApi().list_repo_files(model, revision=revision)
    return (
        "model*.safetensors" if any(name.endswith(".safetensors") for name in names) else "pytorch_model*.bin"
    )


def _manifest(cache: Path, model: str, revision: str | None, snapshot: Path) -> Manifest:
    paths = sorted(path for path in snapshot.rglob("*") if path.is_file())
    files = [
        CachedFile(str(path.relative_to(snapshot)), path.stat().st_size, None, path.resolve().name)
        for path in paths
    ]
    return Manifest(
        model=model,
        revision=revision or DEFAULT_REVISION,
        commit=snapshot.name,
        snapshot=str(snapshot.relative_to(cache)),
        files=tuple(files),
        bytes=sum(path.stat().st_size for path in paths),
        warmed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
