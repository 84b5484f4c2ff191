"""Which names scripts may have: those that make a Lambda function and hide no module of the image."""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Iterable
from functools import cache
from pathlib import Path

NAME_LIMIT = 40
"""Characters of a script's name: a Lambda function's has 64, with project and stack before it."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

OWN_PACKAGES = frozenset(
    ("bench", "discovery", "examples", "hf_lambda", "inference", "infra", "local", "tests", "warmup")
)
"""Folders of this project that hold modules; a script is imported beside them, in the image or in a test."""

_LOCKS = Path(__file__).parents[1] / "inference"
IMPORT_NAMES: dict[str, tuple[str, ...]] = {
    "awslambdaric": ("awslambdaric", "runtime_client"),
    "markdown-it-py": ("markdown_it",),
    "pillow": ("PIL",),
    "protobuf": ("google",),
    "python-dateutil": ("dateutil",),
    "pyyaml": ("yaml",),
    "setuptools": ("setuptools", "pkg_resources"),
    "soundfile": ("soundfile", "licensing"),
    "sympy": ("sympy", "isympy"),
    "tiktoken": ("tiktoken", "tiktoken_ext"),
    "torch": ("torch", "torchgen", "functorch"),
}
"""What a distribution of the locks is imported as, where that is not its name with `_` for `-`."""


GUIDE = "llguidance"
"""Holds generated text to JSON and calls (hf_lambda/grammar.py)."""


def beyond_slim(modules: Iterable[str], own: Container[str]) -> tuple[str, ...]:
    """Those of `modules` (dotted) that the slim image does not have; `own` are the scripts' own modules.

    In an image, where no locks are, nothing is known: none.
    """
    slim = image_modules("requirements-slim.txt")
    tops = dict.fromkeys(name.partition(".")[0] for name in modules)
    known = (*sys.stdlib_module_names, "hf_lambda", *slim)
    return tuple(top for top in tops if slim and top not in known and top not in own)


def own_packages(folder: Path) -> frozenset[str]:
    """Names of the packages in `folder`/requirements.txt, which are a layer of the full image."""
    try:
        lines = (folder / "requirements.txt").read_text().splitlines()
    except (OSError, ValueError):
        return frozenset()
    found = (re.match(r"[A-Za-z0-9][\w.-]*", line.strip()) for line in lines)
    return frozenset(re.sub(r"[-_.]+", "-", each[0]).lower() for each in found if each)


def name_problem(name: str) -> str | None:
    """Why no script can be called `name`, and what to do; None: it can."""
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        return f"the name must be a letter, then letters, digits, - or _, at most {NAME_LIMIT} in all"
    return hidden_module(name)


def hidden_module(name: str) -> str | None:
    """Which module `name.py` beside the scripts would hide, and what to do; None: none."""
    if name in sys.stdlib_module_names:
        owner = "of Python's standard library"
    elif name in OWN_PACKAGES:
        owner = "of this project"
    elif name in image_modules():
        owner = "of a package in the image"
    else:
        return None
    return f"{name} is a module {owner}, which this one would hide: give the file another name"


@cache
def image_modules(pattern: str = "requirements*.txt") -> frozenset[str]:
    """Modules of the packages that the image's locks list. Empty in the image itself, which has no locks."""
    found: set[str] = set()
    for lock in _LOCKS.glob(pattern):
        for distribution in re.findall(r"^[A-Za-z0-9][\w.-]*", lock.read_text(), re.MULTILINE):
            name = re.sub(r"[-_.]+", "-", distribution).lower()
            found.update(IMPORT_NAMES.get(name, (name.replace("-", "_"),)))
    return frozenset(found)
