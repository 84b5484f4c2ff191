"""docs/reliability.md: what the attack's records say, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPORT = Path("docs/reliability.md")
_TITLES = {
    "hub": "Hub faults",
    "kills": "kills of a warm-up",
    "relay": "faults and kills of a relay",
    "caches": "damaged caches",
    "requests": "fuzzed requests, both engines",
    "memory": "worst requests of a megabyte",
    "load": "load through the gateway",
}
_LONGEST = 110
"""Characters of what a failed case said: what it was, without the frames and paths that follow."""
_HEAD = """\
# Reliability

What the attack suite saw, written by `make attack`; nobody edits it. `tests/attack/` says what each case is.
A seeded tenth runs with every `.ci/run` (of load nothing), some cases with `make test`. Each row is of
the commit and the date that it names.

- *Hub faults*: wrong statuses, bodies, headers, names and broken connections, once, twice or for ever, over a
  cache that is cold or warm.
- *Kills*: SIGKILL in a warm-up that changes the commit and prepares the model: after a time, or before a
  change of the cache, that is drawn; one of twenty with the processes that steps of preparing run in.
- *Faults and kills of a relay*: those faults of the Hub, S3 that refuses (AccessDenied, SlowDown,
  NoSuchBucket, another region) or breaks off, a full /tmp, and SIGKILL before a drawn request to S3; then the
  warm-up from the bucket. The cache has an old commit or nothing.
- *Damaged caches*: a file, link or folder of the cache that is gone, empty, cut, flipped, longer, garbage,
  other JSON, a folder, a loop, a dangling link or a pipe, and halves of a killed preparation.
- *Fuzzed requests*: up to three fields that are off, pictures and sound that are cut, changed or promise more
  than they have, directly and over HTTP, on endpoints of all {tasks} tasks with tiny models, on torch and,
  where the task is prepared, on onnxruntime; plain scripts; events of the warm-up. Each has 10 seconds.
- *Worst requests*: of each task and engine what each parameter multiplies most, up to a megabyte, against
  1,769 MB and 10 seconds; each in a process of its own.
- *Load*: two clients without a pause on an endpoint of each task, one task after the other.

But for those kills, the steps of preparing run in one process, which has torch already. Times are those of
the machine at hand, which may have had other things to do.

| | ended as it should | cases | seed | commit | date | minutes |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Record:
    """One run of one campaign."""

    name: str
    commit: str
    """With a + where the checkout had changes."""
    date: str
    seed: int
    cases: int
    seconds: float
    figures: Mapping[str, Sequence[int]]
    """Per figure how many cases ended well, and of how many."""
    failures: Sequence[str]

    @classmethod
    def read(cls, path: Path) -> Record:
        return cls(**json.loads(path.read_text()))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        figures = ", ".join(f"{figure}: {good} of {all_}" for figure, (good, all_) in self.figures.items())
        return f"{_TITLES[self.name]}: {figures} ({self.seconds / 60:.1f} min, seed {self.seed})"


def write_report(records: Sequence[Record], path: Path, whole: Mapping[str, int]) -> None:
    """`whole`: by campaign how many cases a whole run of it has."""
    from .requests import TASKS

    lines = []
    for record in records:
        for figure, (good, all_) in record.figures.items():
            share = f"{good:,}" if good == all_ else f"**{good:,}**"
            commit = record.commit[:12] + "+" * record.commit.endswith("+")
            about = (record.seed, commit, record.date, f"{record.seconds / 60:.1f}")
            title = f"{_TITLES[record.name]}: {figure}"
            lines.append(" | ".join(["", title, share, f"{all_:,}", *map(str, about), ""]).strip())
    failures = [
        f"- {_TITLES[record.name]}: `{' '.join(said.split())[:_LONGEST]}`"
        for record in records
        for said in record.failures
    ]
    cases = {record.name: record.cases for record in records}
    parts = [
        f"- {_TITLES[name]}: {cases[name]:,} of the {count:,} cases of a whole run"
        if name in cases
        else f"- {_TITLES[name]}: none"
        for name, count in whole.items()
        if cases.get(name, 0) < count
    ]
    tail = ["", "What was run in part:", "", *parts] if parts else []
    tail += ["", "What did not hold:", "", *failures] if failures else []
    text = _HEAD.format(tasks=len(TASKS)) + "\n".join([*lines, *tail]) + "\n"
    path.write_text(text)
