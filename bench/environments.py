"""What each contender has installed: an environment of its own, so that nobody carries another's packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_IMAGES = Path(__file__).parents[1] / "inference"
_TRIM = Path(__file__).parents[1] / "requirements/trim-slim.sh"
_RUNTIME = "awslambdaric"

PACKAGES = {
    # what a plain image installs with `pip install transformers torch awslambdaric`
    "plain": ("transformers", "torch"),
    "plain-pictures": ("transformers", "torch", "pillow"),
    "ctranslate2": ("ctranslate2", "tokenizers"),
    "openvino": ("openvino", "tokenizers"),
    "sentence-transformers": ("sentence-transformers",),
    "llama-cpp": ("llama_cpp_python", "tokenizers"),
}
"""By environment, beside the runtime client and all that they require; "slim" and "full" are the images'."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment; `bytes` is the installed size of its packages."""

    folder: Path
    bytes: int

    @property
    def python(self) -> Path:
        return self.folder / "bin" / Path(sys.executable).name


def is_installed(name: str) -> bool:
    """Whether the packages of the environment `name` are: those of llama.cpp are compiled, and optional."""
    return all(map(_is_installed, PACKAGES.get(name, ())))


def lay_out(name: str, into: Path) -> Environment:
    """Make the environment `name` at `into`/`name`, anew, of hard links to what is installed already."""
    folder = into / name
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False, symlinks=True)
    base = str(folder)
    packages = Path(sysconfig.get_path("platlib", "venv", {"base": base, "platbase": base}))
    for package in _packages(name):
        _link(package, packages)
    if name == "slim":
        subprocess.run(["sh", _TRIM, packages], check=True)
    return Environment(folder, sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()))


def _packages(name: str) -> set[str]:
    if name == "slim":
        return _locked("slim")
    if name == "full":
        return _locked("full") | _required(["torch"])
    return _required([*PACKAGES[name], _RUNTIME])


def _locked(image: str) -> set[str]:
    """Names in the image's lock, without those for other platforms."""
    lock = (_IMAGES / f"requirements-{image}.txt").read_text()
    return {name for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE) if _is_installed(name)}


def _required(roots: Iterable[str]) -> set[str]:
    """`roots` and what they require, as far as installed: the rest is optional or for other platforms."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        lines = [line for line in distribution(name).requires or [] if "extra ==" not in line]
        needed = [re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in lines]
        waiting += [re.sub(r"[-_.]+", "-", each).lower() for each in needed if _is_installed(each)]
    return found


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _link(package: str, into: Path) -> None:
    """Every file of `package` but its commands, which lie outside the folder of packages."""
    for file in distribution(package).files or []:
        source = Path(str(file.locate()))
        if ".." in file.parts or not source.is_file():
            continue
        target = into / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():  # two packages may list one file
            try:
                os.link(source, target)
            except OSError:  # on another file system
                shutil.copy2(source, target)
