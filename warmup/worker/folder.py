"""Folders as a source of models: safetensors, or SageMaker's model.tar.gz.

They lie beside the scripts; those of a bucket do once the command has brought them.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hf_lambda.integrity import CHUNK_BYTES
from hf_lambda.manifest import repo_folder
from hf_lambda.repo_id import is_bucket_folder

from ..protocol.errors import ErrorKind, WarmupError
from .source import RemoteFile, place, snapshot_file
from .threads import Stopped

ARCHIVE = "model.tar.gz"
_FIX = "Put there what save_pretrained writes, or SageMaker's model.tar.gz"
BROUGHT = ".s3"
"""Beside the scripts: what was brought from buckets, a folder for each address."""
MOST_FILES = 10_000
"""Of a model; the largest repositories of the Hub have some hundreds."""
_LARGEST_HEADER_BYTES = 1 << 20
"""tarfile reads a header of names and attributes into memory as a whole."""
_SPARE_BYTES = 256 << 20
"""What unpacking leaves free on the disk."""
_IN_AWS = "To the cache of a stack in AWS it comes through the staging bucket (egress: none)"


class FolderSource:
    """Models in folders below `scripts`, called as scripts call them: `./models/mine`, `s3://bucket/prefix`.

    The hash of everything in a folder is its commit, so that a change is a new one. An archive is unpacked
    beside, below `scratch`, for as long as this lives.
    """

    whole_trees = True

    def __init__(self, scripts: Path, scratch: Path | None = None) -> None:
        self._scripts, self._scratch = scripts, scratch
        self._found: dict[str, tuple[Path, list[RemoteFile]]] = {}

    def resolve(self, repo_id: str, revision: str | None, stop: threading.Event) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        folder = self._folder(repo_id)
        files = [_hashed(folder, path, stop) for path in sorted(_sources(folder))]
        for file in files:
            digest.update(f"{file.path}\0{file.sha256}\n".encode())
        self._found[repo_id] = (folder, files)
        return digest.hexdigest()

    def tree(self, repo_id: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        if repo_id not in self._found:
            self.resolve(repo_id, None, stop)
        return self._found[repo_id][1]

    def download(
        self,
        repo_id: str,
        commit: str,
        file: RemoteFile,
        hub_cache: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Copy `file` into the Hub's cache layout in `hub_cache`."""
        if repo_id not in self._found:
            self.resolve(repo_id, None, stop)
        source = snapshot_file(self._found[repo_id][0], file)

        def copy(target: Path) -> None:
            with target.open("wb") as into:
                for chunk in _chunks(source, stop):
                    into.write(chunk)
                    received(len(chunk))

        try:
            place(hub_cache, repo_id, commit, file, copy)
        except FileNotFoundError as error:
            message = f"{repo_id}/{file.path} has gone while it was copied. Run again"
            raise WarmupError(ErrorKind.FILE_NOT_FOUND, message) from error

    def release(self, repo_id: str, files: Sequence[RemoteFile]) -> None:
        """A folder is its owner's."""

    def _folder(self, repo_id: str) -> Path:
        folder = folder_of(self._scripts, repo_id)
        if not folder.is_dir():
            fix = "`python -m warmup` brings it there" if is_bucket_folder(repo_id) else _FIX
            message = f"{repo_id}: there is no folder {folder}. {fix}. {_IN_AWS}"
            raise WarmupError(ErrorKind.NOT_FOUND, message)
        archive = folder / ARCHIVE
        return self._unpack(repo_id, archive) if archive.is_file() else folder

    def _unpack(self, repo_id: str, archive: Path) -> Path:
        if not hasattr(tarfile, "data_filter"):
            message = f"{repo_id}/{ARCHIVE}: Python 3.11.4 or newer unpacks it safely. Unpack it yourself"
            raise WarmupError(ErrorKind.USAGE, message)
        directory = tempfile.mkdtemp(prefix="hf-lambda-model-", dir=self._scratch)
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        try:
            _extract(archive, Path(directory))
        except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
            message = f"{repo_id}/{ARCHIVE} cannot be unpacked: {error}. Pack the folder anew, with tar -czf"
            raise WarmupError(ErrorKind.UNUSABLE, message) from error
        return Path(directory)


def folder_of(scripts: Path, repo_id: str) -> Path:
    """Where the model lies, or will."""
    if is_bucket_folder(repo_id):
        return scripts / BROUGHT / repo_folder(repo_id)
    return scripts.joinpath(*repo_id.split("/")[1:])


class _BoundedReads(gzip.GzipFile):
    """Nobody needs to read much at once of an archive; a header that says so is made to fill the memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def _extract(archive: Path, directory: Path) -> None:
    """Member by member: what is too much is seen before it is written. Raises what tarfile raises."""
    files = 0
    with _BoundedReads(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as packed:
        for member in packed:
            files += 1
            if files > MOST_FILES:
                raise tarfile.ExtractError(f"it holds more than {MOST_FILES:,} files")
            free = shutil.disk_usage(directory).free - _SPARE_BYTES
            if member.size > free:
                raise tarfile.ExtractError(
                    f"{member.name!r} has {member.size:,} bytes, and {max(free, 0):,} are free in {directory}"
                )
            # "data": nothing leaves the folder, by its name or by a link, and nothing is a device.
            packed.extract(member, directory, filter="data")


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and path.is_file():
            yield path


def _hashed(folder: Path, path: Path, stop: threading.Event) -> RemoteFile:
    size = path.stat().st_size
    blob, content = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), hashlib.sha256()
    for chunk in _chunks(path, stop):
        blob.update(chunk)
        content.update(chunk)
    return RemoteFile(path.relative_to(folder).as_posix(), size, blob.hexdigest(), content.hexdigest())


def _chunks(path: Path, stop: threading.Event) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            if stop.is_set():
                raise Stopped
            yield chunk
