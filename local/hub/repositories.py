"""Model folders seen as Hub repositories: ids, commits, files and their hashes."""

import hashlib
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
_COMMIT_OR_PREFIX = re.compile(r"[0-9a-f]{7,40}")
DEFAULT_BRANCH = "main"

_LFS_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *(
            "arrow",
            "bin",
            "ckpt",
            "ftz",
            "gz",
            "h5",
            "joblib",
            "model",
            "msgpack",
            "npy",
            "npz",
            "onnx",
            "ot",
        ),
        *("parquet", "pb", "pickle", "pkl", "pt", "pth", "safetensors", "tar", "tflite", "tgz", "wasm", "xz"),
        *("zip", "zst"),
    )
)
_LFS_BYTES = 10_000_000
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class File:
    """One file of a repository at its commit."""

    path: str
    """Relative to the repository, with forward slashes."""
    source: Path
    size: int
    blob_id: str
    """SHA-1 as git names the blob: of the content, or of a large file's LFS pointer."""
    sha256: str | None
    """Large (LFS) files alone have one, as on the real Hub."""
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id


@dataclass(frozen=True)
class Repository:
    """A model folder under its repository id."""

    id: str
    folder: Path
    pinned: str | None = None
    """The commit that the folder stands for; None: any commit asked for is answered from it."""
    names: frozenset[str] = frozenset({DEFAULT_BRANCH})
    """Branches and tags at that commit."""

    def files(self) -> list[File]:
        """What the folder holds now, sorted by path; hashed once per path, size and modification time."""
        return [_file(self.folder, source) for source in sorted(_sources(self.folder))]

    def commit_of(self, revision: str) -> str | None:
        """The 40-hex commit that `revision` means here, None where the repository does not have it.

        `revision`: a branch, a tag, a commit, or the first 7 digits or more of one.
        """
        if revision in self.names:
            return self.pinned or _content_commit(self.files())
        if not _COMMIT_OR_PREFIX.fullmatch(revision):
            return None
        if self.pinned:
            return self.pinned if self.pinned.startswith(revision) else None
        of_content = _content_commit(self.files())
        commit = revision + of_content[len(revision) :]
        if commit != of_content:
            logger.info("%s: %s stands in for commit %s", self.id, self.folder, commit)
        return commit


def find_repositories(roots: Mapping[str, Path] | Path | Iterable[Path]) -> dict[str, Repository]:
    """Repositories by id, from a mapping id -> folder or from roots laid out as ROOT/org/name or ROOT/name.

    A root may also be a cache of the Hub's client (`models--org--name`). Later roots override earlier ones.
    Raises ValueError where a folder is missing or a root is itself a model.
    """
    if isinstance(roots, Mapping):
        return {repo_id: _repository(repo_id, Path(folder)) for repo_id, folder in roots.items()}
    found: dict[str, Repository] = {}
    for root in [roots] if isinstance(roots, Path) else roots:
        found.update((repository.id, repository) for repository in _below(Path(root)))
    return found


def _below(root: Path) -> Iterator[Repository]:
    if not root.is_dir():
        raise ValueError(
            f"models folder {root} is not a directory; expected DIR with DIR/org/name/config.json"
        )
    if (root / "config.json").is_file():
        raise ValueError(f"{root} is itself a model; give the folder above it, or ORG/NAME={root}")
    for child in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if child.name.startswith("models--"):
            yield from _cached(child)
        elif _is_model(child):
            yield _repository(child.name, child)
        else:
            for folder in sorted(path for path in child.iterdir() if path.is_dir() and _is_model(path)):
                yield _repository(f"{child.name}/{folder.name}", folder)


def _cached(storage: Path) -> Iterator[Repository]:
    """A repository in the layout of the Hub client's cache: its default branch, else any one snapshot."""
    snapshots = sorted(path for path in storage.glob("snapshots/*") if COMMIT.fullmatch(path.name))
    refs = {
        path.relative_to(storage / "refs").as_posix(): path.read_text().strip()
        for path in (storage / "refs").rglob("*")
        if path.is_file()
    }
    chosen = [path for path in snapshots if path.name == refs.get(DEFAULT_BRANCH)] or snapshots[-1:]
    repo_id = storage.name.removeprefix("models--").replace("--", "/")
    for snapshot in chosen:
        names = {name for name, commit in refs.items() if commit == snapshot.name}
        yield Repository(repo_id, snapshot, snapshot.name, frozenset({DEFAULT_BRANCH, *names}))


def _is_model(folder: Path) -> bool:
    return any(path.is_file() for path in folder.iterdir())


def _repository(repo_id: str, folder: Path) -> Repository:
    if not folder.is_dir():
        raise ValueError(f"{repo_id}: {folder} is not a directory; expected the folder of a model")
    pin = folder / ".commit"
    pinned = pin.read_text().strip() if pin.is_file() else None
    if pinned and not COMMIT.fullmatch(pinned):
        raise ValueError(f"{pin} says {pinned!r}; expected a commit of 40 hexadecimal digits")
    return Repository(repo_id, folder, pinned)


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part in {".git", ".cache", "__pycache__", ".commit"} for part in parts)
        if not hidden and path.is_file():
            yield path


def _content_commit(files: Iterable[File]) -> str:
    """Stands for a commit where none is recorded: the same content gives the same one."""
    digest = hashlib.sha1(usedforsecurity=False)
    for file in files:
        digest.update(f"{file.path}\0{file.etag}\n".encode())
    return digest.hexdigest()


_hashed: dict[tuple[Path, int, int], tuple[str, str]] = {}
_hashing = threading.Lock()


def _file(folder: Path, source: Path) -> File:
    status = source.stat()
    path = source.relative_to(folder).as_posix()
    blob_id, sha256 = _hashes(source, status.st_size, status.st_mtime_ns)
    if source.suffix not in _LFS_SUFFIXES and status.st_size <= _LFS_BYTES:
        return File(path, source, status.st_size, blob_id, None)
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {status.st_size}\n".encode()
    )
    return File(path, source, status.st_size, _git_blob(pointer), sha256, len(pointer))


def _hashes(source: Path, size: int, mtime_ns: int) -> tuple[str, str]:
    key = (source, size, mtime_ns)
    with _hashing:
        if key not in _hashed:
            blob, content = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), hashlib.sha256()
            with source.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    blob.update(chunk)
                    content.update(chunk)
            _hashed[key] = (blob.hexdigest(), content.hexdigest())
        return _hashed[key]


def _git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
