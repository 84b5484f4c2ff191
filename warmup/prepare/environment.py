"""The variables of child processes: no credentials, no token, no network."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

_PASSED_ON = re.compile(
    "PATH|HOME|TMPDIR|TZ|LANG|LC_.*|LD_LIBRARY_PATH|XDG_CACHE_HOME|HF_HOME|HF_HUB_CACHE|(OMP|MKL)_.*"
    "|AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
)
"""Variables of this process that a child gets; the last tells it how many threads to use."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child process that loads a model needs of `environ`, and no more."""
    kept = {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**kept, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
