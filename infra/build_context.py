"""What an image is built of, as one digest: the same files, arguments and target give the same tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from docker.utils.build import exclude_paths

CONTEXT = Path()
"""The folder that the program runs in, as the Docker provider takes it."""
_SHOWN = 20
"""Digits of the digest in a tag: 80 bits."""


def content_tag(target: str, platform: str, build_args: Mapping[str, str], context: Path = CONTEXT) -> str:
    """`slim-<digest>`: of every file that .dockerignore lets through, and the rest that a build is given."""
    asked = [target, platform, sorted(build_args.items())]
    digest = hashlib.sha256(json.dumps(asked).encode())
    for path in _files(context):
        file = context / path
        executable = bool(file.stat().st_mode & 0o111)
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{path}\0{executable}\0{content}\n".encode())
    return f"{target}-{digest.hexdigest()[:_SHOWN]}"


def _files(context: Path) -> list[str]:
    """In the same order everywhere."""
    ignore = context / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = exclude_paths(str(context.resolve()), patterns, dockerfile="inference/Dockerfile")
    return sorted(Path(each).as_posix() for each in found if (context / each).is_file())
