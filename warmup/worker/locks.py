"""One writer per repository: flock files in the cache, held across machines through NFSv4."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_lambda.manifest import repo_folder

RETRY_SECONDS = 0.2


def lock_path(cache: Path, model: str) -> Path:
    return lock_path_of(cache, repo_folder(model))


def lock_path_of(cache: Path, folder: str, *, cold: bool = False) -> Path:
    """The lock of the repository whose folder in the Hub's cache layout is `folder`.

    cold: the one that an endpoint with `coldDownload` holds while it downloads.
    """
    return cache / "locks" / f"{folder}{'.cold' if cold else ''}.lock"


@contextmanager
def held(path: Path, *, check: Callable[[], None], waiting: Callable[[], None]) -> Iterator[None]:
    """Hold `path` alone. While another run has it, `waiting` is called once and `check` again and again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _taken(file.fileno()):
            waiting()
            pause = threading.Event()
            while not _taken(file.fileno()):
                check()
                pause.wait(RETRY_SECONDS)
        yield


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold `path` if nobody does; yields whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        yield _taken(file.fileno())


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
