"""What each way of serving needs installed, from the wheels' own lists of files."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

SLIM = Path(__file__).parents[1] / "inference" / "requirements-slim.txt"


def slim_bytes() -> int:
    """Installed size of what the slim image's requirements file locks, for this platform."""
    return sum(_bytes(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", SLIM.read_text(), re.MULTILINE))


def ancestor_bytes() -> int:
    """Installed size of transformers, torch and the runtime client with everything that they require."""
    return sum(_bytes(name) for name in _closure(["transformers", "torch", "awslambdaric"]))


def _closure(roots: list[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += [
            re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in requires if "extra ==" not in line
        ]
    return found


def _bytes(name: str) -> int:
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:  # of another platform or Python version
        return 0
    return sum(Path(file.locate()).stat().st_size for file in files if Path(file.locate()).is_file())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
