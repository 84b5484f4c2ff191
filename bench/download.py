"""How fast the warm-up downloads, beside huggingface_hub's snapshot_download alone.

`python -m bench.download` prints the table. By HTTP, from the embedded Hub: the real one serves large files
through Xet, which cannot be had here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from hf_lambda.records import Json

REPOSITORY = Path(__file__).parents[1]
TARGET = 0.9
"""Of the speed of snapshot_download alone."""
_MB = 1_000_000
LAYOUTS = {"one-file": (1500 * _MB,), "six-shards": (250 * _MB,) * 6}
CONTENDERS = ("snapshot_download", "warm-up")
WORKLOAD = "Warm-up, download"
Seconds = dict[str, dict[str, Json]]
"""contender -> layout -> a measurement for each round."""


def measure(work: Path, rounds: int) -> Seconds:
    """Each round asks both in turn, each in a process and a cache of its own."""
    models = work / "download"
    for name, sizes in LAYOUTS.items():
        _write_model(models / "bench" / name, sizes)
    seconds: Seconds = {contender: {name: [] for name in LAYOUTS} for contender in CONTENDERS}
    with _hub(models) as url:
        for turn in range(rounds):
            for name in LAYOUTS:
                for contender in CONTENDERS if turn % 2 == 0 else reversed(CONTENDERS):
                    seconds[contender][name].append(_in_a_process(contender, f"bench/{name}", url))
    return seconds


def table(contenders: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """Of the page, in Markdown."""
    lines = [
        "1.5 GB from the embedded Hub on the same machine to a local disk, by HTTP alone: large files of the",
        "real Hub come through Xet, which was not measured. The warm-up also compares the SHA-256 of every",
        f"file with the Hub's. Aimed at: {TARGET:.0%} of the speed of `snapshot_download` alone.",
        "",
        "| | snapshot_download s | warm-up s | its speed |",
        "|---|---|---|---|",
    ]
    for name in contenders[CONTENDERS[0]]:
        alone, ours = (median(contenders[contender][name]) for contender in CONTENDERS)
        lines.append(f"| {name.replace('-', ' ')} | {alone:.2f} | {ours:.2f} | {alone / ours:.0%} |")
    return [*lines, ""]


def _write_model(folder: Path, sizes: tuple[int, ...]) -> None:
    if folder.is_dir():
        return
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    (making / "config.json").write_text('{"model_type": "bert"}')
    (making / "tokenizer.json").write_text("{}")
    names = ["model.safetensors"]
    if len(sizes) > 1:
        names = [f"model-{each:05}-of-{len(sizes):05}.safetensors" for each in range(1, len(sizes) + 1)]
        weights = ", ".join(f'"{each}": "{name}"' for each, name in enumerate(names))
        (making / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{weights}}}}}')
    for name, size in zip(names, sizes, strict=True):
        with (making / name).open("wb") as file:
            for start in range(0, size, _MB):
                file.write(os.urandom(min(_MB, size - start)))
    making.rename(folder)


@contextmanager
def _hub(models: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "local.hub", "--models", str(models)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            yield server.stdout.readline().split()[0] if server.stdout else ""
        finally:
            server.terminate()


def _in_a_process(contender: str, repo_id: str, url: str) -> float:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".local") as cache:
        command = [sys.executable, "-m", "bench.download", contender, repo_id, url, cache]
        environment = {**os.environ, "HF_ENDPOINT": url, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return float(done.stdout.splitlines()[-1])


def _download(contender: str, repo_id: str, url: str, cache: Path) -> float:
    """Seconds; what is imported and asked for the first time is not counted."""
    from huggingface_hub import snapshot_download

    from warmup.protocol.events import Action
    from warmup.protocol.models import ModelRequest
    from warmup.worker.client_settings import set_client_defaults
    from warmup.worker.fetch import fetch
    from warmup.worker.hub import HubSource
    from warmup.worker.jobs import Job

    set_client_defaults(os.environ)
    source = HubSource(url, None, lambda note: None)
    job = Job("bench", Action.FETCH, lambda: 1e9)
    cache.mkdir(exist_ok=True)
    began = time.perf_counter()
    if contender == "warm-up":
        fetch(ModelRequest(repo_id, None, ()), cache, source, job)
    else:
        snapshot_download(repo_id, cache_dir=cache / "hub", endpoint=url)
    return time.perf_counter() - began


def main(arguments: list[str]) -> None:
    if arguments:
        contender, repo_id, url, cache = arguments
        print(_download(contender, repo_id, url, Path(cache)))
    else:
        print("\n".join(table(measure(REPOSITORY / ".local" / "bench", rounds=5))))


if __name__ == "__main__":
    main(sys.argv[1:])
