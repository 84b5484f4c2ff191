"""Language models: what the timed calls say of a prompt's and of an answer's tokens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.contenders import Contender
from bench.workloads import (
    ANSWER_TOKENS,
    BATCH,
    BATCH_TEXTS,
    LONG_ANSWER,
    LONG_PROMPT,
    ONE_TOKEN,
    PROMPT_TOKENS,
    Workload,
)
from hf_lambda.manifest import read_manifest
from hf_lambda.records import Json

COLUMNS = (
    ("prompt tokens/s", "prompt_token_s"),
    ("answer tokens/s", "token_s"),
    ("of eight answers", "batch_token_s"),
    ("prompt tokens/s, one thread", "one_cpu_prompt_token_s"),
    ("answer tokens/s, one thread", "one_cpu_token_s"),
    ("of eight answers, one thread", "one_cpu_batch_token_s"),
)
"""Titles, and the figure whose inverse is shown."""


def figures(measured: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Seconds a token, of the median call of each event.

    An answer's token is what 64 of them cost beside the first; of a batch it is all of the call.
    """
    if not measured:
        return {}
    seconds = {name: median(values) for name, values in measured.items()}
    return {
        "prompt_token_s": seconds[LONG_PROMPT] / PROMPT_TOKENS,
        "token_s": (seconds[LONG_ANSWER] - seconds[ONE_TOKEN]) / (ANSWER_TOKENS - 1),
        "batch_token_s": seconds[BATCH] / (BATCH_TEXTS * ANSWER_TOKENS),
    }


def weight_bytes(contender: Contender, workload: Workload, cache: Path, rivals: Path) -> int:
    """Bytes of the weights that a contender reads for each token, as far as its files tell."""
    if contender.is_converted:
        folders = {"ctranslate2": "ct2-language-models", "llama-cpp": "llama-cpp"}
        folder = rivals / folders[contender.name] / Path(workload.model).name
        return max(file.stat().st_size for file in folder.iterdir())
    manifest = read_manifest(cache, workload.model, None)
    stored = sum(file.size for file in manifest.files if file.path.endswith(".safetensors"))
    for entry in manifest.prepared:
        if contender.name == f"hf-lambda {entry.precision}":
            return max(file.stat().st_size for file in (cache / entry.path).iterdir())
    return 2 * stored if contender.name == "ancestor" else stored  # stored in bfloat16, and read in fp32


def copied_bytes_per_s() -> float:
    """How fast one CPU copies more bytes than its caches hold, which bounds what it can read."""
    program = (
        "import numpy, time\n"
        "source, target = (numpy.ones(1 << 26) for _ in range(2))\n"
        "def seconds():\n"
        "    started = time.process_time()\n"
        "    numpy.copyto(target, source)\n"
        "    return time.process_time() - started\n"
        "print(source.nbytes / min(seconds() for _ in range(5)))"
    )
    command = ["taskset", "-c", "0", sys.executable, "-c", program]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def bandwidth_share(measured: Mapping[str, Json]) -> str:
    """Of the copied bytes a second, what the weights of an answer's tokens are on one CPU."""
    copied, token_s = measured.get("copied_bytes_per_s"), measured.get("one_cpu_token_s")
    if not copied or not token_s or not measured.get("weight_bytes"):
        return "-"
    return f"{100 * measured['weight_bytes'] / median(token_s) / median(copied):.0f} %"


def is_generation(field: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether the contenders' figures are of a language model."""
    known = ("token_s", "one_cpu_token_s", f"warm:{ONE_TOKEN}")
    return any(name in measured for measured in field.values() for name in known)
