"""Finds which mode of the sandbox works on this machine."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from hf_lambda.records import Json
from local.service.emulator import SANDBOX

MODES = ("namespace", "landlock")
NONE = "none"
PROBE_S = 20
NOTICE = (
    "notice: this machine allows neither mount namespaces nor Landlock, so nothing stops an inference "
    "function from writing to the cache here; on AWS its role does"
)
OPEN_NOTICE = (
    "notice: this kernel cannot keep the warm-up from the network (Landlock since Linux 6.7 can); on AWS its "
    "network leads to S3 alone"
)
_PROBE = 'mkdir "$1/probe" || exit 1; if mkdir "$2/probe"; then rmdir "$2/probe"; exit 1; fi 2>/dev/null'


def available(cache: Path, state: Path) -> str:
    """The best mode of sandbox.py in which, tried here and now, `cache` can be read and not written."""
    return next((mode for mode in MODES if _holds(mode, cache, state)), NONE)


def closes_network(isolation: str) -> bool:
    """Whether the sandbox, tried here and now, keeps a command from a port that it may not connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        view: dict[str, Json] = {
            "cache": "/",
            "mount": None,
            "tmp": "/",
            "writes": True,
            "keep": [],
            "connect": [],
        }
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        mode = NONE if isolation == NONE else "landlock"
        command = [
            sys.executable,
            "-I",
            "-S",
            str(SANDBOX),
            mode,
            json.dumps(view),
            sys.executable,
            "-c",
            code,
        ]
        try:
            tried = subprocess.run(command, capture_output=True, timeout=PROBE_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return b"PermissionError" in tried.stderr


def _holds(mode: str, cache: Path, state: Path) -> bool:
    tmp = state / "tmp" / f"probe-{mode}"
    tmp.mkdir(parents=True, exist_ok=True)
    mount, scratch = ("/mnt/hf_models_cache", "/tmp") if mode == "namespace" else (None, str(tmp))
    keep = [str(path) for path in (cache, state, sys.prefix, sys.base_prefix)]
    view = {"cache": str(cache), "mount": mount, "tmp": str(tmp), "writes": False, "keep": keep}
    command = [sys.executable, "-I", "-S", str(SANDBOX), mode, json.dumps(view)]
    shell = ["/bin/sh", "-c", _PROBE, "probe", scratch, mount or str(cache)]
    try:
        tried = subprocess.run([*command, *shell], capture_output=True, timeout=PROBE_S, check=False)
        return tried.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        shutil.rmtree(tmp)
