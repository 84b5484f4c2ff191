"""One writer per repository: lock files in the cache, held across machines.

flock, because NFSv4.1 (and so EFS) turns it into a lock of the server that ends with its client. `filelock`
makes the same call and would add nothing: where a mount has no locks it takes a file for one, unless told
otherwise, and a killed Lambda would leave that behind for ever. Here that is an error.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hf_lambda.atomic import make_folder, remove
from hf_lambda.manifest import repo_folder

from ..protocol.errors import ErrorKind, WarmupError

RETRY_SECONDS = 0.2


def repository_lock(cache: Path, repo_id: str) -> Path:
    """The lock file of a repository; hold it while its snapshots, prepared models or manifests change."""
    return lock_of_folder(cache, repo_folder(repo_id))


def lock_of_folder(cache: Path, folder: str) -> Path:
    """The same, by the repository's folder in the Hub's cache layout."""
    return cache / "locks" / f"{folder}.lock"


@contextmanager
def lock(path: Path, *, check: Callable[[], None], waiting: Callable[[], None]) -> Iterator[None]:
    """Hold `path` alone. While another run has it, `waiting` is called once and `check` again and again."""
    with _opened(path) as file:
        if not _taken(file, path):
            waiting()
            pause = threading.Event()
            while not _taken(file, path):
                check()
                pause.wait(RETRY_SECONDS)
        yield


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Hold `path` if nobody does; yields whether it is held."""
    with _opened(path) as file:
        yield _taken(file, path)


def _opened(path: Path) -> TextIO:
    make_folder(path.parent, within=path.parents[1])
    if not path.is_file():  # never a lock that somebody holds
        remove(path)
    return path.open("a")


def _taken(file: TextIO, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        message = (
            f"{path} cannot be locked ({error.strerror}). The cache needs a file system with locks, as EFS"
        )
        raise WarmupError(ErrorKind.NO_LOCKS, message) from error
    return True
