"""`.ci/run` draws a share of the slow tests where a machine is slow: the same ones in every process."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import is_drawn

ROOT = Path(__file__).parents[1]
FILES = [f"tests/test_{number}.py" for number in range(400)]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_of_many_files_about_the_share_is_drawn(share: float):
    drawn = [file for file in FILES if is_drawn(file, share, "a")]
    assert abs(len(drawn) / len(FILES) - share) < 0.06


def test_a_larger_share_holds_the_smaller_one_and_another_draw_other_files():
    quarter = {file for file in FILES if is_drawn(file, 0.25, "a")}
    assert quarter < {file for file in FILES if is_drawn(file, 0.5, "a")}
    assert quarter != {file for file in FILES if is_drawn(file, 0.25, "b")}


def test_the_others_are_counted_as_deselected(tmp_path: Path):
    for number in range(8):
        (tmp_path / f"test_{number}.py").write_text(
            "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n"
        )
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", f"--confcutdir={tmp_path}"]
    command += ["-p", "no:cacheprovider", "--share=0.5", "--draw=b", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    drawn = sum(is_drawn(f"test_{number}.py", 0.5, "b") for number in range(8))
    assert 0 < drawn < 8
    assert f"{2 * drawn} passed, {16 - 2 * drawn} deselected" in done.stdout, done.stdout + done.stderr
