"""Installs what inference/requirements.txt names beside the packages of the image, into a folder of its own.

    python requirements/extra.py REQUIREMENTS --into FOLDER --python PYTHON LOCK...

Packages that PYTHON has, in the versions of the locks, are used as they are: only what is missing goes into
FOLDER, and what wants another version of a locked package is refused. The image and the local stack both
run this, with the Python that has pip. Writes a line `name version` for each package; exit code 1, with pip's
reason, where it cannot.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*==[^\s;\\]+)([^\\]*)", re.MULTILINE)
_Json: TypeAlias = Any
"""What pip's report holds."""
_PIP = ["-m", "pip", "--disable-pip-version-check"]


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    shutil.rmtree(options.into, ignore_errors=True)
    options.into.mkdir(parents=True)
    if not options.requirements.exists():
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        constraints = Path(scratch) / "constraints.txt"
        constraints.write_text(constraints_of([lock.read_text() for lock in options.locks]))
        report = Path(scratch) / "report.json"
        wanted = ["--requirement", str(options.requirements), "--constraint", str(constraints)]
        dry = ["--dry-run", "--quiet", "--prefer-binary", "--report", str(report)]
        if not _pip(options.python, "install", *dry, *wanted):
            sys.stderr.write(
                f"{options.requirements} does not go with the packages of the image, see above\n"
            )
            return 1
        found = json.loads(report.read_text())["install"]
        if not found:
            return 0
        pinned = Path(scratch) / "pinned.txt"
        pinned.write_text("".join(f"{pin_of(each)}\n" for each in found))
        # Options of the user's file, such as another index, hold for its packages again.
        again = [line for line in options.requirements.read_text().splitlines() if line.startswith("--")]
        pinned.write_text("\n".join([*again, pinned.read_text()]))
        how = ["--quiet", "--no-deps", "--no-compile", "--prefer-binary", "--target", str(options.into)]
        if not _pip(options.python, "install", *how, "--requirement", str(pinned)):
            return 1
    for each in sorted(found, key=_name):
        sys.stdout.write(f"{_name(each)} {each['metadata']['version']}\n")
    return 0


def constraints_of(locks: list[str]) -> str:
    """The pins of locks without their hashes: with one, pip would want a hash of everything."""
    return "".join(f"{pin}{marker.rstrip()}\n" for lock in locks for pin, marker in _PIN.findall(lock))


def pin_of(package: dict[str, _Json]) -> str:
    """One package of pip's report as the very file that was resolved."""
    metadata, download = package["metadata"], package["download_info"]
    if package.get("is_direct"):
        return f"{metadata['name']} @ {download['url']}"
    return f"{metadata['name']}=={metadata['version']}"


def _name(package: dict[str, _Json]) -> str:
    return re.sub(r"[-_.]+", "-", str(package["metadata"]["name"])).lower()


def _pip(python: str, *arguments: str) -> bool:
    # `pip --python` runs pip of this interpreter over the packages of that one, which needs none itself.
    command = [sys.executable, *_PIP, "--python", python, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("locks", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    return parser


if __name__ == "__main__":
    sys.exit(main())
