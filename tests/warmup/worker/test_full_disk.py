"""A disk that is really full: a small file system of its own, mounted where nobody else sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.families import others_slow
from tests.warmup.support import KEY, SNAPSHOT_BYTES, TINY, Warming

ROOT = Path(__file__).parents[3]
_SCRIPT = """
set -e
mount -t tmpfs -o size=$SIZE tmpfs "$MODEL_CACHE"
exec "$PYTHON" -c "$CODE"
"""
_CODE = """
import json, os, pathlib
from tests.warmup.support import Context
from warmup.worker.handler import handler

cache = pathlib.Path(os.environ["MODEL_CACHE"])
(cache / "filler").write_bytes(bytes(int(os.environ["FILLED"])))
event = json.loads(os.environ["EVENT"])
print("ANSWER", json.dumps(handler(event, Context())))
if os.environ.get("JOB"):
    print("ANSWER", json.dumps(handler({"action": "status", "jobs": [os.environ["JOB"]]}, Context())))
(cache / "filler").unlink()
print("ANSWER", json.dumps(handler(event, Context())))
"""


@pytest.fixture
def full(warming: Warming):
    """Warm org/tiny on a disk of `size` bytes with `filled` of them taken, then with room; the answers."""

    def run(size: int, filled: int) -> list[dict[str, Any]]:
        warming.cache.mkdir()
        variables = {
            "SIZE": str(size),
            "FILLED": str(filled),
            "JOB": "x",
            "CODE": _CODE,
            "PYTHON": sys.executable,
        }
        event = {"action": "warm", "models": [TINY], "job": "x"}
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _SCRIPT],
            env={**os.environ, **variables, "EVENT": json.dumps(event), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if "Operation not permitted" in done.stderr or "Permission denied" in done.stderr:
            pytest.skip("this machine lets nobody mount a file system")
        lines = [
            line.removeprefix("ANSWER ") for line in done.stdout.splitlines() if line.startswith("ANSWER")
        ]
        assert len(lines) == 3, done.stdout + done.stderr
        return [json.loads(line) for line in lines]

    return run


@pytest.mark.parametrize("left", others_slow([0, 4096, 64 << 10, SNAPSHOT_BYTES // 2], SNAPSHOT_BYTES // 2))
def test_a_warm_up_on_a_full_disk_says_so_and_the_next_one_with_room_works(full, left: int) -> None:
    size = 4 * SNAPSHOT_BYTES // 4096 * 4096
    first, job, again = full(size, size - left)
    error = first["error"] if "error" in first else first["models"][KEY]["error"]
    assert (first["state"], error["kind"]) == ("failed", "disk full")
    assert "prune" in error["message"]
    assert job["jobs"]["x"]["state"] in ("failed", "unknown")  # where not even this file has room
    assert again["state"] == "done"
