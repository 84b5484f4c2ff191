"""The packages of inference/requirements.txt, in a folder that only functions see."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = "packages"
"""Below `.local`."""
LOCKS = ("requirements-full.txt", "requirements-torch.txt")
_STAMP = ".installed.json"


class PackagesError(Exception):
    """pip's reason, as it printed it."""


def install(root: Path, state: Path, say: Callable[[str], None]) -> list[str]:
    """Bring `state`/packages to what `root`/inference/requirements.txt says; returns `name version` lines.

    What is there already stays; interrupted, it starts over. Raises PackagesError.
    """
    wanted, folder = root / "inference" / "requirements.txt", state / FOLDER
    if not wanted.exists():
        shutil.rmtree(folder, ignore_errors=True)
        return []
    files = [wanted, *(root / "inference" / lock for lock in LOCKS), root / "requirements" / "extra.py"]
    key = hashlib.sha256(
        b"\0".join([sys.version.encode(), *(path.read_bytes() for path in files)])
    ).hexdigest()
    stamp = _read(folder / _STAMP)
    if stamp.get("key") == key:
        return [str(line) for line in stamp["packages"]]
    say("installing inference/requirements.txt for the functions ...")
    partial = folder.with_name(f"{FOLDER}.partial")
    command = [sys.executable, str(files[-1]), *map(str, files[:-1]), "--into", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackagesError(done.stderr.strip())
    # Functions see the folder read-only. Some packages hold files in another syntax, which nobody imports.
    compiling = [sys.executable, "-m", "compileall", "-q", str(partial)]
    subprocess.run(compiling, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    packages = done.stdout.splitlines()
    (partial / _STAMP).write_text(json.dumps({"key": key, "packages": packages}))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return packages


def _read(path: Path) -> dict[str, list[str] | str]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
