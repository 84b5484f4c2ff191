"""`python -m bench.container`: measures the images beside a plain one; writes the tables of docs/image.md."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from local.docker.engine import EngineError, find_engine

from .measure import Measured, measure_all
from .rebuild import Rebuild, rebuild
from .setting import ROOT, warmed

PAGE = ROOT / "docs/image.md"
BEGIN, END = "<!-- measured by python -m bench.container -->", "<!-- end of the measurement -->"
WAYS = {
    "slim": "slim, prepared model (onnxruntime int8 or fp32)",
    "full": "full, torch",
    "plain": "plain transformers + torch",
}


def main() -> int:
    """Exit code 1 where there is no engine."""
    work = Path(tempfile.mkdtemp(prefix="hf-lambda-bench-"))
    try:
        setting = warmed(find_engine(), work)
        results = measure_all(setting, list(WAYS))
        changes = {target: rebuild(setting, target) for target in ("slim", "full")}
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = report(results, changes)
    print(text)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")
    return 0


def report(results: dict[str, Measured], changes: dict[str, Rebuild]) -> str:
    """The tables in Markdown."""
    plain = results["plain"]
    lines = [
        "| image | installed, base image aside | files opened | bytes read | bytes mapped | first answer |",
        "|---|---|---|---|---|---|",
    ]
    for way, title in WAYS.items():
        mine = results[way]
        lines.append(
            f"| {title} | {_mb(mine.installed)}{_ratio(plain.installed, mine.installed)} "
            f"| {mine.files_opened:,}{_ratio(plain.files_opened, mine.files_opened)} "
            f"| {_mb(mine.bytes_read)}{_ratio(plain.bytes_read, mine.bytes_read)} "
            f"| {_mb(mine.bytes_mapped)} "
            f"| {mine.first_answer_s:.2f} s{_ratio(plain.first_answer_s, mine.first_answer_s)} |"
        )
    lines += ["", "| image | layer | size |", "|---|---|---|"]
    for way in WAYS:
        lines += [f"| {way} | {name} | {_mb(size)} |" for name, size in results[way].layers]
    lines += [
        "",
        "| after an edit of a script | rebuilt in | layers that change | bytes |",
        "|---|---|---|---|",
    ]
    for target, change in changes.items():
        lines.append(f"| {target} | {change.seconds:.1f} s | {change.layers} | {change.bytes:,} |")
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}"
    lines += [
        "",
        f"One run on one machine ({machine}, Python {plain.python} in the images). First answer: from the",
    ]
    lines += [
        "first request to the emulator, which then starts the runtime, to the answer; median of 5 containers"
    ]
    lines += ["each, taken in turn, all files in the page cache.", ""]
    return "\n".join(lines)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _ratio(plain: float, mine: float) -> str:
    return "" if plain == mine else f" ({plain / mine:.1f}x less)"


if __name__ == "__main__":
    sys.exit(main())
