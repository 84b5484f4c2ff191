"""`python -m bench`: measure everybody side by side in one run, into bench/data, results.md and results.svg.

`--stack` measures the endpoints of a stack instead, where they run (bench/deployed.py).
`--only` measures some workloads anew; the page keeps what earlier runs found for the others, with its date.
`--page` measures nothing and writes page and picture of what is in bench/data.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from bench import deployed, download, figures, generation, plot, report, rivals, workloads
from bench.cache import fill, refused_precisions
from bench.contenders import OPTIONAL, Contender, contenders
from bench.environments import PACKAGES, is_installed, lay_out
from bench.figures import Measured
from bench.measure import REPOSITORY, Bench
from bench.results import Results
from bench.workloads import WORKLOADS, Workload
from hf_lambda.atomic import replace_text
from hf_lambda.records import Json

WORK = REPOSITORY / ".local" / "bench"
LLAMA_CPP = (
    "CMAKE_ARGS='-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON' pip install --no-deps "
    "--target .local/bench/site llama-cpp-python gguf diskcache"
)
"""What installs it; pip compiles it, which takes a quarter of an hour."""
DOWNLOAD = "download"
"""Beside the workloads: how fast the warm-up downloads."""
DOWNLOAD_ROUNDS = 5


def main() -> int:
    """Exit code 0 when the page was written, 2 where something to measure with is missing."""
    if any(each == "--stack" or each.startswith("--stack=") for each in sys.argv[1:]):
        return deployed.main(sys.argv[1:])
    options = _parser().parse_args()
    if options.page:
        _write_page(options.output)
        return 0
    missing = [each for each in ("fusermount3", "strace") if shutil.which(each) is None]
    if missing and not (options.no_views or options.one_thread):
        _say(
            f"missing: {', '.join(missing)}. `apt-get install fuse3 strace`, or `python -m bench --no-views`"
        )
        return 2
    chosen = [workload for workload in WORKLOADS if not options.only or workload.name in options.only]
    if not options.only or DOWNLOAD in options.only:
        _say("downloading, as the warm-up and as snapshot_download")
        rounds = options.rounds or DOWNLOAD_ROUNDS
        seconds = download.measure(WORK, rounds)
        measured = Measured(download.WORKLOAD, rounds, figures.today(report.machine()), seconds)
        figures.write(measured, report.data_folder())
    if chosen:
        bench = _set_up()
        on = figures.today(report.machine())
        notes = _prepare(bench, chosen)
    for workload in chosen:
        results = Results(workload, options.rounds or workload.rounds, on, notes, WORK / "figures")
        _measure(
            bench,
            workload,
            results,
            views=not (options.no_views or options.one_thread),
            one_thread=options.one_thread,
            without=options.without,
        )
        figures.write(results.measured, report.data_folder())
        _write_page(options.output)
    print(_write_page(options.output))
    return 0


def _write_page(output: Path) -> str:
    """The page of everything in bench/data, written with the picture beside it."""
    order = [each.name for each in WORKLOADS]
    measured = figures.read(order)
    page = report.page(measured, figures.read(order, figures.AVX2_DATA))
    replace_text(output, page)
    replace_text(output.with_suffix(".svg"), plot.svg(measured))
    return page


def _set_up() -> Bench:
    """Environments and folders under .local/bench; what was installed there is kept."""
    site = WORK / "site"
    _install(REPOSITORY / "requirements/bench.txt", site)
    sys.path.append(str(site))
    _say("laying out an environment for each")
    bench = Bench(
        environments={
            name: lay_out(name, WORK / "environments")
            for name in ("slim", "full", *PACKAGES)
            if is_installed(name)
        },
        site=site,
        generated=WORK / "scripts",
        cache=WORK / "efs",
        rivals=WORK / "rivals",
        mounts=WORK / "mounts",
        emulator=REPOSITORY / ".local" / "bin" / "aws-lambda-rie",
    )
    for folder in (bench.generated, bench.cache, bench.rivals, bench.mounts):
        folder.mkdir(parents=True, exist_ok=True)
    _compile_library(bench.generated)
    return bench


def _compile_library(scripts: Path) -> None:
    """Lay `hf_lambda` beside the scripts, compiled, as the image has it."""
    shutil.rmtree(scripts / "hf_lambda", ignore_errors=True)
    shutil.copytree(REPOSITORY / "hf_lambda", scripts / "hf_lambda")
    compileall.compile_dir(scripts / "hf_lambda", quiet=1)


def _install(lock: Path, site: Path) -> None:
    """What only the comparison needs goes into a folder of its own, not into the virtual environment."""
    stamp = site / lock.name
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        _say("installing what is compared with")
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-qq",
            "--no-deps",
            "--require-hashes",
            "--upgrade",
        ]
        subprocess.run([*install, "--target", str(site), "-r", str(lock)], check=True)
        stamp.write_text(lock.read_text())


def _prepare(bench: Bench, chosen: list[Workload]) -> list[str]:
    _say("building the models")
    models = WORK / "models"
    workloads.build(models, {workload.model for workload in chosen})
    minilm = workloads.minilm()
    folders = {workload.model: models / workload.model for workload in chosen}
    folders |= {name: minilm for name in folders if name.startswith("sentence-transformers/")}
    notes = fill(bench.cache, folders, chosen, _say)
    _say("converting the models for the others")
    if "bench/distilbert-base" in folders:
        rivals.openvino(models / "bench/distilbert-base", bench.rivals / "openvino")
        rivals.ctranslate2_distilbert(models / "bench/distilbert-base", bench.rivals / "ct2-distilbert")
    if "bench/bart-large" in folders:
        rivals.ctranslate2_bart(models / "bench/bart-large", bench.rivals / "ct2-bart")
    for name in workloads.LANGUAGE_MODELS.keys() & folders.keys():
        if rivals.has_llama_cpp():
            rivals.llama_cpp_language_model(models / name, bench.rivals / "llama-cpp" / Path(name).name)
        else:
            notes.append(f"llama.cpp is not compared with: {LLAMA_CPP}.")
        target = bench.rivals / "ct2-language-models" / Path(name).name
        try:
            rivals.ctranslate2_language_model(models / name, target)
        except (
            AttributeError,
            KeyError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # as its converter fails
            notes.append(f"{name} was not converted for CTranslate2: {type(error).__name__}: {error}"[:300])
    if not (bench.rivals / "minilm").exists():
        shutil.copytree(minilm, bench.rivals / "minilm")
    return notes


def _measure(
    bench: Bench,
    workload: Workload,
    results: Results,
    *,
    views: bool,
    one_thread: bool,
    without: Collection[str],
) -> None:
    """Each round asks everybody in turn, so that a drift of the machine's speed meets all alike."""
    refused = {f"hf-lambda {precision}" for precision in refused_precisions(bench.cache, workload)}
    left_out = {*without, *refused}
    field = [each for each in contenders(workload, bench.generated) if each.name not in left_out]
    rounds = results.measured.rounds
    for contender in field:
        installed = {"installed_bytes": bench.environments[contender.environment].bytes}
        results.measured.contenders[contender.name] = installed
    for turn in range(rounds):
        for contender in field:
            with results.measuring(f"round {turn + 1} of {rounds}", contender) as measured:
                _one_round(bench, contender, workload, measured, one_thread=one_thread)
    for contender in field if views else ():
        with results.measuring("through a counting view", contender) as measured:
            _, image, models = bench.first_through_views(contender, workload, slow=False)
            measured |= {"image_files": image.files, "image_bytes": image.bytes, "model_bytes": models.bytes}
        with results.measuring("through a counting view, by calls", contender) as measured:
            measured["called_bytes"] = bench.read_by_calls(contender, workload)
    for turn in range(min(rounds, 3) if views else 0):
        for contender in field:
            with results.measuring(f"through a slow view {turn + 1}", contender) as measured:
                first, _, _ = bench.first_through_views(contender, workload, slow=True)
                measured.setdefault("slow_s", []).append(first.seconds)


def _one_round(
    bench: Bench,
    contender: Contender,
    workload: Workload,
    measured: dict[str, Json],
    *,
    one_thread: bool,
) -> None:
    first = bench.first(contender, workload, cpus="0" if one_thread else None)
    measured.setdefault("peak_mb", []).append(first.peak_mb)
    warm: dict[str, list[float]] = {}
    if one_thread:
        measured.setdefault("one_cpu_first_s", []).append(first.cpu_s)
    else:
        measured.setdefault("first_s", []).append(first.seconds)
        warm = bench.warm(contender, workload, workload.repeats)
    for event, seconds in warm.items():
        measured.setdefault(f"warm:{event}", []).extend(seconds)
    one_cpu = bench.warm(contender, workload, workload.repeats, cpus="0")
    if workload.task == "text-generation":
        measured["weight_bytes"] = generation.weight_bytes(contender, workload, bench.cache, bench.rivals)
        measured.setdefault("copied_bytes_per_s", []).append(generation.copied_bytes_per_s())
        for prefix, seconds_by_event in (("", warm), ("one_cpu_", one_cpu)):
            for name, token_s in generation.figures(seconds_by_event).items():
                measured.setdefault(f"{prefix}{name}", []).append(token_s)
        return
    for seconds in one_cpu.values():
        measured.setdefault("one_cpu_s", []).extend(seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*(each.name for each in WORKLOADS), DOWNLOAD])
    parser.add_argument("--rounds", type=int, help="rounds of each workload; default: its own")
    parser.add_argument(
        "--no-views", action="store_true", help="leave out bytes read and the slow file system"
    )
    parser.add_argument(
        "--one-thread",
        action="store_true",
        help="memory and the figures of one thread alone, in its CPU's seconds: where others use the machine",
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=OPTIONAL, help="leave a contender out"
    )
    parser.add_argument("--page", action="store_true", help="write page and picture anew, measure nothing")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.md")
    return parser


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
