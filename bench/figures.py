"""What was measured, a file for each workload in bench/data: the page shows all, a run replaces its own."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hf_lambda.atomic import replace_text
from hf_lambda.records import Json

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY / "bench" / "data"
AVX2_DATA = DATA / "avx2"
"""Of x86 processors without VNNI and AMX, where 8 bits gain less over fp32."""


@dataclass(frozen=True)
class Measured:
    """One workload of one run.

    `contenders`: contender -> figure -> list of measurements, or one value. `notes`: a sentence for each
    measurement that failed. `on`: day, commit, machine and libraries.
    """

    workload: str
    rounds: int
    on: str
    contenders: dict[str, dict[str, Json]]
    notes: list[str] = field(default_factory=list)


def write(measured: Measured, folder: Path = DATA) -> None:
    """Replace what an earlier run found for this workload."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9.]+", "-", measured.workload.lower())
    # Seven digits tell 0.1 microseconds of a second: more are noise in every later difference.
    text = json.dumps(asdict(measured), indent=1)
    replace_text(folder / f"{name}.json", re.sub(r"(\d+\.\d{7})\d+", r"\1", text) + "\n")


def read(order: Iterable[str], folder: Path = DATA) -> list[Measured]:
    """All that was measured, the workloads of `order` first, as `order` has them."""
    found = {
        measured.workload: measured
        for measured in (Measured(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json")))
    }
    return [found.pop(name) for name in order if name in found] + [*found.values()]


def today(machine: str) -> str:
    """Day, commit and machine, as the page says them."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    day = datetime.now(UTC).date().isoformat()
    return f"{day}, {f'commit {commit}, ' if commit else ''}{machine}"
