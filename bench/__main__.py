"""`python -m bench`: measure everybody side by side in one run and write bench/results.md."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import report, rivals, sizes, workloads
from bench.cache import fill
from bench.contenders import Contender, contenders
from bench.measure import REPOSITORY, Bench
from bench.workloads import WORKLOADS, Workload

WORK = REPOSITORY / ".local" / "bench"


def main() -> int:
    """Exit code 0 when the page was written."""
    options = _parser().parse_args()
    chosen = [workload for workload in WORKLOADS if not options.only or workload.name in options.only]
    bench = _set_up()
    notes = _prepare(bench, chosen)
    figures: report.Figures = {}
    rounds: dict[str, int] = {}
    for workload in chosen:
        rounds[workload.name] = options.rounds or workload.rounds
        figures[workload.name] = _measure(bench, workload, rounds[workload.name], notes)
    slim, ancestor = sizes.slim_bytes(), sizes.ancestor_bytes()
    notes.append(
        f"Installed packages: slim {slim / 1e6:,.0f} MB, the ancestor's torch and transformers "
        f"{ancestor / 1e6:,.0f} MB ({ancestor / slim:.1f}x, target 7x)."
    )
    options.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    page = report.page(figures, notes, rounds)
    options.output.write_text(page)
    print(page)
    return 0


def _set_up() -> Bench:
    """Extra packages, models and conversions under .local/bench; what is there is kept."""
    bench = Bench(
        venv=Path(sys.prefix),
        site=WORK / "site",
        generated=WORK / "scripts",
        cache=WORK / "efs",
        rivals=WORK / "rivals",
        mounts=WORK / "mounts",
        emulator=REPOSITORY / ".local" / "bin" / "aws-lambda-rie",
    )
    for folder in (bench.generated, bench.cache, bench.rivals, bench.mounts):
        folder.mkdir(parents=True, exist_ok=True)
    lock = REPOSITORY / "requirements-bench.txt"
    stamp = bench.site / lock.name
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        _say("installing what is compared with")
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "--upgrade"]
        subprocess.run([*install, "--target", str(bench.site), "-r", str(lock)], check=True)
        stamp.write_text(lock.read_text())
    sys.path.append(str(bench.site))
    return bench


def _prepare(bench: Bench, chosen: list[Workload]) -> list[str]:
    _say("building the models")
    models = WORK / "models"
    workloads.build(models)
    minilm = workloads.minilm()
    folders = {workload.model: models / workload.model for workload in chosen}
    folders |= {name: minilm for name in folders if name.startswith("sentence-transformers/")}
    notes = fill(bench.cache, folders, chosen, _say)
    _say("converting the models for the others")
    rivals.openvino(models / "bench/distilbert-base", bench.rivals / "openvino")
    rivals.ctranslate2_distilbert(models / "bench/distilbert-base", bench.rivals / "ct2-distilbert")
    rivals.ctranslate2_bart(models / "bench/bart-large", bench.rivals / "ct2-bart")
    if not (bench.rivals / "minilm").exists():
        shutil.copytree(minilm, bench.rivals / "minilm")
    return notes


def _measure(bench: Bench, workload: Workload, rounds: int, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Each round asks everybody in turn, so that a drift of the machine's speed meets all alike."""
    field = contenders(workload, bench.generated)
    figures: dict[str, dict[str, Any]] = {contender.name: {} for contender in field}
    for turn in range(rounds):
        for contender in field:
            _say(f"{workload.name} round {turn + 1} of {rounds}: {contender.name}")
            _one_round(bench, contender, workload, figures[contender.name])
    for contender in field:
        _say(f"{workload.name} over counting and slow views: {contender.name}")
        _views(bench, contender, workload, min(rounds, 3), figures[contender.name], notes)
    return figures


def _one_round(bench: Bench, contender: Contender, workload: Workload, figures: dict[str, Any]) -> None:
    first = bench.first(contender, workload)
    figures.setdefault("first_s", []).append(first.seconds)
    figures.setdefault("peak_mb", []).append(first.peak_mb)
    repeats = 1 if workload.task == "summarization" else 10
    for event, seconds in bench.warm(contender, workload, repeats).items():
        figures.setdefault(f"warm:{event}", []).extend(seconds)
    for seconds in bench.warm(contender, workload, repeats, cpus="0").values():
        figures.setdefault("one_cpu_s", []).extend(seconds)


def _views(
    bench: Bench,
    contender: Contender,
    workload: Workload,
    rounds: int,
    figures: dict[str, Any],
    notes: list[str],
) -> None:
    try:
        _, image, models = bench.first_through_views(contender, workload, slow=False)
        figures |= {"image_files": image.files, "image_bytes": image.bytes, "model_bytes": models.bytes}
        figures["slow_s"] = [
            bench.first_through_views(contender, workload, slow=True)[0].seconds for _ in range(rounds)
        ]
    except (RuntimeError, FileNotFoundError) as problem:
        notes.append(f"{workload.name}, {contender.name}: not measured over the views: {problem}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=[workload.name for workload in WORKLOADS])
    parser.add_argument("--rounds", type=int, help="rounds of each workload; default: its own")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.md")
    return parser


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
