"""How fast the warm-up downloads, itself and through a relay, beside huggingface_hub's snapshot_download.

`python -m bench.download` prints the table. By HTTP, from the embedded Hub: the real one serves large files
through Xet, which cannot be had here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from hf_lambda.records import Json
from warmup.worker.jobs import Job

if TYPE_CHECKING:
    from warmup.worker.hub import HubSource

REPOSITORY = Path(__file__).parents[1]
TARGET = 0.9
"""Of the speed of snapshot_download alone."""
_MB = 1_000_000
LAYOUTS = {"one-file": (1500 * _MB,), "six-shards": (250 * _MB,) * 6}
CONTENDERS = ("snapshot_download", "warm-up", "relay", "S3")
"""The last one is no way of a model: the same files into the bucket and out again, without a Hub."""
RELAY_TARGET = 1.5
"""Times what the warm-up takes by itself."""
_BUCKET = "staging"
_JOB = "bench"
WORKLOAD = "Warm-up, download"
Seconds = dict[str, dict[str, Json]]
"""contender -> layout -> a measurement for each round."""


def measure(work: Path, rounds: int) -> Seconds:
    """Each round asks all in turn, each in a process and a cache of its own; a relay in another beside it."""
    models = work / "download"
    for name, sizes in LAYOUTS.items():
        _write_model(models / "bench" / name, sizes)
    seconds: Seconds = {contender: {name: [] for name in LAYOUTS} for contender in CONTENDERS}
    with _hub(models) as url, _s3(work) as s3_url:
        for turn in range(rounds):
            for name in LAYOUTS:
                for contender in CONTENDERS if turn % 2 == 0 else reversed(CONTENDERS):
                    seconds[contender][name].append(_in_a_process(contender, f"bench/{name}", url, s3_url))
    return seconds


def table(contenders: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """Of the page, in Markdown."""
    lines = [
        "1.5 GB from the embedded Hub on the same machine to a local disk, by HTTP alone: large files of the",
        "real Hub come through Xet, which was not measured. The warm-up also compares the SHA-256 of every",
        f"file with the Hub's. Aimed at: {TARGET:.0%} of the speed of `snapshot_download` alone. Through a",
        "relay the files go to an S3 (moto's) and from there to the disk; Hub, relay, S3 and warm-up are",
        f"processes of one machine. Aimed at: {RELAY_TARGET} times what the warm-up takes by itself. S3",
        "alone: the same files into that S3 and out of it again, one after the other, without a Hub.",
        "",
        "| | snapshot_download s | warm-up s | its speed | through a relay s | times that | S3 alone s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in contenders[CONTENDERS[0]]:
        alone, ours, relayed, s3 = (median(contenders[contender][name]) for contender in CONTENDERS)
        compared = f"{alone:.2f} | {ours:.2f} | {alone / ours:.0%} | {relayed:.2f} | {relayed / ours:.1f}x"
        lines.append(f"| {name.replace('-', ' ')} | {compared} | {s3:.2f} |")
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


@contextmanager
def _s3(work: Path) -> Iterator[str]:
    port_file = work / "s3-port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "local.bucket", "--name", _BUCKET, "--folder", str(work / "s3")]
    command += ["--port-file", str(port_file)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL) as server:
        try:
            while not port_file.exists() and server.poll() is None:
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port_file.read_text()}"
        finally:
            server.terminate()


def _in_a_process(contender: str, repo_id: str, url: str, s3_url: str) -> float:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".local") as cache:
        command = [sys.executable, "-m", "bench.download", contender, repo_id, url, cache]
        environment = {**os.environ, "HF_ENDPOINT": url, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        keys = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}
        environment |= {f"AWS_{name}": value for name, value in keys.items()}
        environment["AWS_ENDPOINT_URL_S3"] = s3_url
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

    set_client_defaults(os.environ)
    source = HubSource(url, None, lambda note: None)
    job = Job("bench", Action.FETCH, lambda: 1e9)
    cache.mkdir(exist_ok=True)
    if contender == "relay":
        return _through_a_relay(repo_id, url, cache, job)
    if contender == "S3":
        return _through_s3(repo_id, source, cache)
    began = time.perf_counter()
    if contender == "warm-up":
        fetch(ModelRequest(repo_id, None, ()), cache, source, job)
    else:
        snapshot_download(repo_id, cache_dir=cache / "hub", endpoint=url)
    return time.perf_counter() - began


def _through_a_relay(repo_id: str, url: str, cache: Path, job: Job) -> float:
    """The relay is a process of its own, which has imported everything before the time begins."""
    from warmup.protocol.models import ModelRequest
    from warmup.worker.bucket import Bucket, BucketSource, RelayWatch, state_key
    from warmup.worker.fetch import fetch

    bucket = Bucket(_BUCKET)
    bucket.delete([state_key(f"{_JOB}-1")])
    scratch = cache / "relay"
    scratch.mkdir()
    command = [sys.executable, "-m", "bench.download", "as-a-relay", repo_id, url, str(scratch)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as relay:
        assert relay.stdin and relay.stdout
        relay.stdout.readline()
        began = time.perf_counter()
        relay.stdin.write("begin\n")
        relay.stdin.close()
        watch = RelayWatch(bucket, _JOB)
        fetch(ModelRequest(repo_id, None, ()), cache, BucketSource(bucket, relayed=True, watch=watch), job)
        seconds = time.perf_counter() - began
        relay.stdout.read()
    if relay.returncode:
        raise RuntimeError(f"the relay ended with exit code {relay.returncode}")
    return seconds


def _through_s3(repo_id: str, source: HubSource, cache: Path) -> float:
    from warmup.worker.bucket import Bucket, blob_key

    bucket, stop = Bucket(_BUCKET), threading.Event()
    files = source.tree(repo_id, source.resolve(repo_id, None, stop), stop)
    for file in files:
        with (cache / file.blob).open("wb") as stream:
            stream.truncate(file.size)
    own = f"{repo_id}-alone"  # what lies there is not the model
    began = time.perf_counter()
    for file in files:
        bucket.upload(cache / file.blob, own, file, lambda number: None, stop)
    for file in files:
        bucket.copy(own, file, cache / file.blob, lambda number: None, stop)
    seconds = time.perf_counter() - began
    bucket.delete([blob_key(own, file) for file in files])
    return seconds


def _relay(repo_id: str, url: str, scratch: Path) -> None:
    from warmup.protocol.answers import DownloadPlan, JobStatus
    from warmup.protocol.events import Action
    from warmup.protocol.models import ModelRequest
    from warmup.worker.bucket import Bucket, state_key
    from warmup.worker.client_settings import set_client_defaults
    from warmup.worker.hub import HubSource
    from warmup.worker.jobs import Job, beating
    from warmup.worker.relay import Relay
    from warmup.worker.relay_handler import HEARTBEAT_SECONDS

    set_client_defaults(os.environ)
    bucket, source = Bucket(_BUCKET), HubSource(url, None, lambda note: None)
    job = Job(f"{_JOB}-1", Action.FETCH, lambda: 1e9)

    def write() -> None:
        bucket.write(state_key(job.name), json.dumps(job.beat.to_json()).encode())

    def lacks(action: Action, model: ModelRequest) -> DownloadPlan:
        return DownloadPlan(model.repo_id, "", (), 0, 0)  # a cold cache has nothing

    print("ready", flush=True)
    sys.stdin.readline()
    with beating(write, every_s=HEARTBEAT_SECONDS, last=write, passing=Exception):
        Relay(bucket, source, scratch, 10 << 30, lacks, job).fetch(ModelRequest(repo_id, None, ()))
        job.end(JobStatus.DONE)


def main(arguments: list[str]) -> None:
    if arguments:
        contender, repo_id, url, cache = arguments
        if contender == "as-a-relay":
            _relay(repo_id, url, Path(cache))
            return
        print(_download(contender, repo_id, url, Path(cache)))
    else:
        print("\n".join(table(measure(REPOSITORY / ".local" / "bench", rounds=5))))


if __name__ == "__main__":
    main(sys.argv[1:])
