"""A browser for the tests of the page: the machine's Chromium, driven by Playwright from its own environment.

`python -m tests.local.playground.browser NAME` opens the page that `make up` printed, sends the example of
the endpoint NAME and prints the answer that a person then sees.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.required import missing

ROOT = Path(__file__).parents[3]
_LOCK = ROOT / "requirements/browser.txt"
_PLACE = ROOT / ".local/browser"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Skips the test without one, and fails it in CI."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return found or missing("no Chromium is installed: apt-get install chromium")


def python() -> Path:
    """One that has Playwright; made once for each content of the lock."""
    found, stamp = _PLACE / "bin/python", _PLACE / "lock"
    if not stamp.exists() or stamp.read_text() != _LOCK.read_text():
        venv.create(_PLACE, with_pip=True, clear=True)
        install = [str(found), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(_LOCK)]
        subprocess.run(install, check=True, timeout=300)
        stamp.write_text(_LOCK.read_text())
    return found


def run(script: str, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """A script of this folder, which is given Chromium's path first."""
    browser = chromium()
    command = [str(python()), str(Path(__file__).with_name(script)), browser, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


if __name__ == "__main__":
    address = (ROOT / ".local/run/page.url").read_text()
    done = run("ask.py", address, *sys.argv[1:], timeout_s=90)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr[-4000:])
    sys.exit(done.returncode)
