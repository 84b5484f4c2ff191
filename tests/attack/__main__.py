"""`python -m tests.attack`: everything that went wrong once, tried again by the hundred; `make attack`."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")

from . import caches, hub, kills, load, memory, relay, requests
from .campaign import Outcome, run
from .reliability import REPORT, Record, write_report
from .stage import SMALL, Stage, build_models, entry, stage

RECORDS = Path(".local/attack")
COUNTS = {
    "hub": hub.CASES,
    "kills": kills.CASES,
    "relay": relay.CASES,
    "caches": caches.CASES,
    "requests": requests.CASES,
    "memory": memory.CASES,
    "load": int(load.SECONDS),
}
"""Cases of a whole run; of load, seconds."""
Cases = Iterable[Callable[[], Outcome]]


def main(arguments: list[str]) -> int:
    """0 where all held, 1 where something did not."""
    asked = _asked(arguments)
    if not asked.report_alone:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        warnings.simplefilter("ignore")
        for name in asked.campaigns or COUNTS:
            _attack(name, max(1, round(COUNTS[name] * asked.share)), asked.seed, 60 * asked.minutes)
    records = [Record.read(path) for name in COUNTS if (path := RECORDS / f"{name}.json").is_file()]
    if asked.write:
        write_report(records, REPORT, COUNTS)
    for record in records:
        print(record.line())
    return int(any(record.failures for record in records))


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("campaigns", nargs="*", choices=[*COUNTS, []], help="those alone; none: all")
    parser.add_argument("--share", type=float, default=1.0, help="of a whole run, for instance 0.1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="of each campaign; then no more cases"
    )
    parser.add_argument("--write", action="store_true", help=f"write {REPORT} of what is recorded")
    parser.add_argument("--report-alone", action="store_true", help="run nothing")
    return parser.parse_args(arguments)


def _attack(name: str, count: int, seed: int, seconds: float) -> None:
    print(f"{name}: {count} ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        root = Path(folder)
        models = build_models(root / "models")
        with stage(root, models) as set_up:
            cases = _CASES[name](set_up, models, root, seed, count)
            result = run(name, cases, lambda line: print(line, flush=True), seconds)
    record = Record(
        name=name,
        commit=_git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else ""),
        date=datetime.now(UTC).date().isoformat(),
        seed=seed,
        cases=len(result.outcomes),
        seconds=result.seconds,
        figures={figure: list(counts) for figure, counts in result.counted().items()},
        failures=[f"{outcome.case}: {outcome.said[:300]}" for outcome in result.failed[:20]],
    )
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / f"{name}.json").write_text(json.dumps(record.to_json(), indent=1))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _warm(set_up: Stage, engine: str) -> None:
    answer = set_up.warm(entry(SMALL, engine))
    if answer["state"] != "done":
        raise RuntimeError(f"the stage was not set up: {answer}")


def _hub(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    _warm(set_up, "torch")
    return hub.cases(set_up, models, root, seed, count)


def _kills(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    _warm(set_up, "auto")
    return kills.cases(set_up, kills.change(models, root / "changed"), root, seed, count)


def _relay(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    _warm(set_up, "torch")
    return relay.cases(set_up, kills.change(models, root / "changed"), root, seed, count)


def _caches(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    caches.prepare_stage(set_up)
    return caches.cases(set_up, root, seed, count)


def _requests(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    _warm(set_up, "torch")
    return requests.cases(set_up, requests.targets(root / "targets"), seed, count)


def _memory(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    return memory.cases(requests.targets(root / "targets", requests.TEXTS), seed, count)


def _load(set_up: Stage, models: Path, root: Path, seed: int, count: int) -> Cases:
    return load.cases(root, float(count))


_CASES: dict[str, Callable[[Stage, Path, Path, int, int], Cases]] = {
    "hub": _hub,
    "kills": _kills,
    "relay": _relay,
    "caches": _caches,
    "requests": _requests,
    "memory": _memory,
    "load": _load,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
