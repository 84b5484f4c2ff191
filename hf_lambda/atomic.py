"""Writing a file so that a reader, or a power cut, never finds half of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def replace_text(path: Path, text: str, *, within: Path | None = None, mode: int = 0o644) -> None:
    """Write `path` by atomic rename, on disk before it is seen; readable for every user without `mode`.

    within: a folder of the program's own, as the cache. What lies below it in the place of `path` or of a
    folder above, and can be neither, is damage and removed. Without, it is somebody's, and OSError is raised.
    """
    make_folder(path.parent, within=within)
    if within is not None and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes 0600; inference mounts the cache through another access point user.
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_folder(folder: Path, *, within: Path | None = None) -> None:
    """Make `folder`; below `within` what lies where it or one above it belongs, and is none, is removed."""
    places = (*reversed(folder.parents), folder) if within is not None else ()
    for place in places:
        if within in place.parents and os.path.lexists(place) and not place.is_dir():
            place.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Delete what is at `path`, a file, a link or a folder, if anything is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # the latter: a file above it
        path.unlink()
