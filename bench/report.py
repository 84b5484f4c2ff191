"""Medians, ratios and targets as one page of Markdown."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from bench import download, figures, generation
from bench.figures import Measured
from bench.workloads import WORKLOADS
from hf_lambda.records import Json
from warmup import prices

GB_SECOND_USD = prices.GB_SECOND_USD["x86_64"]
REQUEST_USD = 0.20 / 1_000_000
ONE_VCPU_MB = 1_769

TARGETS = (
    # workload, what, contender, ratio to the ancestor that we aim at, key of the figure
    ("DistilBERT", "first answer, local disk", "hf-lambda int8", 15, "first_s"),
    ("DistilBERT", "first answer, slow file system", "hf-lambda int8", 12, "slow_s"),
    ("DistilBERT", "warm, short text", "hf-lambda int8", 7, "warm:short"),
    ("DistilBERT", "warm, 128 tokens", "hf-lambda int8", 3, "warm:128 tokens"),
    ("DistilBERT", "peak memory", "hf-lambda int8", 4, "peak_mb"),
    ("DistilBERT", "image bytes read to first answer, by calls", "hf-lambda int8", 20, "called_bytes"),
    ("DistilBERT", "installed size", "hf-lambda int8", 7, "installed_bytes"),
    ("BART-large", "first answer, beam 4", "hf-lambda int8", 5, "first_s"),
    ("BART-large", "warm, beam 4", "hf-lambda int8", 4.5, "warm:beam 4"),
    ("ViT-B", "first answer", "hf-lambda int8", 12, "first_s"),
    ("ViT-B", "warm", "hf-lambda int8", 4, "warm:picture"),
    ("ViT-B", "peak memory", "hf-lambda int8", 2, "peak_mb"),
    ("CLIP B/32", "peak memory", "hf-lambda int8", 2, "peak_mb"),
    ("DETR-R50", "first answer", "hf-lambda int8", 5, "first_s"),
    ("DETR-R50", "warm", "hf-lambda int8", 2, "warm:picture"),
    ("DETR-R50", "peak memory", "hf-lambda int8", 2, "peak_mb"),
    ("Whisper-small", "first answer", "hf-lambda int8", 5, "first_s"),
    ("Whisper-small", "warm, 30 s", "hf-lambda int8", 4, "warm:30 s"),
    ("Whisper-small", "peak memory", "hf-lambda int8", 2, "peak_mb"),
    *(
        (model, what, "hf-lambda int8", ratio, key)
        for model in ("Qwen2.5-0.5B", "Llama-3.2-1B")
        for what, ratio, key in (
            ("first token", 8, "first_s"),
            ("first token, slow file system", 8, "slow_s"),
            ("prompt tokens", 3, "prompt_token_s"),
            ("answer tokens", 5, "token_s"),
            ("peak memory", 3, "peak_mb"),
        )
    ),
)
AGAINST = tuple(
    # what, ratio, and whose figure stands beside ours: another contender's, or another one of ours
    (model, what, "hf-lambda int8", ratio, key, base)
    for model in ("Qwen2.5-0.5B", "Llama-3.2-1B")
    for what, ratio, key, base in (
        (
            "prompt tokens on one CPU, llama.cpp's",
            2,
            "one_cpu_prompt_token_s",
            ("llama-cpp", "one_cpu_prompt_token_s"),
        ),
        ("answer tokens on one CPU, llama.cpp's", 0.9, "one_cpu_token_s", ("llama-cpp", "one_cpu_token_s")),
        (
            "tokens of eight answers on one CPU, those of one",
            3,
            "one_cpu_batch_token_s",
            ("hf-lambda int8", "one_cpu_token_s"),
        ),
    )
)

_METHOD = (
    "Written by `make bench`: one run, everybody in turn, medians; in brackets how many times better",
    "than the ancestor, which is the AWS sample's handler (on the Auto classes where transformers 5 has",
    "no pipeline for the task). Everybody has an environment of its own, ours those of the slim and the",
    "full image. MiniLM is the real one, the others have full size and random weights. Pictures have 640 x",
    "480 pixels; Whisper is told that it hears English, and writes 64 tokens greedily of half a minute; the",
    "reranker orders 20 documents of some 130 tokens.",
    "",
    "First answer: from the start of the Lambda emulator's process to the answer. Slow file system: the",
    "same with packages and models behind FUSE, where opening a file and each 128 KiB that is read take",
    "1 ms (packages) or 2 ms (models). Warm: inside the handler's process, two threads. Peak: resident",
    "memory at the first answer. Image read: bytes of the packages that read calls get until the first",
    "answer, and beside it what passes through FUSE, which includes page faults with the kernel's read-",
    "ahead. One thread: the first event, on one CPU, in seconds that the process had it, whatever else the",
    "machine did; that is all that was measured where others used the machine. Cost: the first event, warm,",
    "on one CPU, at the list price of us-east-1.",
)
_GENERATION_METHOD = (
    "",
    "Language models are of full size with random weights, greedy, with prompts that differ in their first",
    "character: nothing of one is known from the one before. First token: as first answer, for one token. A",
    "prompt's tokens: 512 of them and one new one. An answer's: 64 after the first, and 65 of each of eight",
    "prompts in one call. The ancestor is in fp32. One thread: seconds of its CPU alone, whatever else the",
    "machine did. Memory bandwidth: bytes of the weights times an answer's tokens a second, of what a copy",
    "of 512 MB reaches. Cost: an answer's tokens on one CPU.",
)
_AVX2_METHOD = (
    "The same on x86 processors without instructions for 8 bits (VNNI, AMX), where int8 gains less. Lambda",
    "does not say which processors a function gets. Figures above without names of instructions are older",
    "than this chapter.",
)
_ONE_THREAD = {
    "first_s": "one_cpu_first_s",
    **{f"warm:{next(iter(workload.events))}": "one_cpu_s" for workload in WORKLOADS},
    **{name: f"one_cpu_{name}" for name in ("prompt_token_s", "token_s")},
}
"""What stands for a figure where one thread alone was measured."""
_FOR_8_BITS = ("avx_vnni", "avx512_vnni", "amx_int8")
_INSTRUCTIONS = ("avx2", "avx512f", *_FOR_8_BITS)
"""By these onnxruntime chooses how it multiplies 8 bits; the names are Linux's."""
_VERSIONS = (
    *("torch", "transformers", "onnxruntime", "ctranslate2", "openvino", "sentence-transformers"),
    "llama_cpp_python",
)


def middle(values: Json) -> float | None:
    """The median of a list of measurements, the value itself where there is one, None where there is none."""
    if isinstance(values, list):
        return median(values) if values else None
    return None if values is None else float(values)


def usd_per_million(seconds: float, peak_mb: float) -> tuple[float, int]:
    """What a million warm requests cost at the smallest memory with one whole vCPU that holds the process.

    `seconds` were measured on one CPU. Less memory buys as much less of a CPU: it costs the same and takes
    longer. Lambda bills whole milliseconds. Returns USD and memory in MB. Prices: GB_SECOND_USD, REQUEST_USD.
    """
    memory_mb = max(ONE_VCPU_MB, 64 * math.ceil(peak_mb * 1.1 / 64))
    billed_s = math.ceil(seconds * 1000) / 1000
    return 1_000_000 * (billed_s * memory_mb / 1024 * GB_SECOND_USD + REQUEST_USD), memory_mb


def page(measured: Sequence[Measured], avx2: Sequence[Measured] = ()) -> str:
    """`bench/results.md`: a table for each workload, then the targets; below, those of AVX2 alone."""
    parts = [
        "# Benchmark",
        "",
        *_METHOD,
        *(
            _GENERATION_METHOD
            if any(generation.is_generation(each.contenders) for each in (*measured, *avx2))
            else ()
        ),
        "",
    ]
    parts += _chapter(measured)
    if avx2:
        parts += ["# On AVX2 alone", "", *_AVX2_METHOD, "", *_chapter(avx2, only_measured=True)]
    return "\n".join(parts)


def _chapter(measured: Sequence[Measured], *, only_measured: bool = False) -> list[str]:
    parts = []
    for each in measured:
        title = [f"## {each.workload} ({each.rounds} rounds)", "", f"{each.on}.", ""]
        if each.workload == download.WORKLOAD:
            parts += [*title, *download.table(each.contenders)]
        else:
            parts += [*title, *table(each.contenders), ""]
    by_workload = {each.workload: each for each in measured}
    parts += ["## Targets", "", *_targets(by_workload, only_measured=only_measured), ""]
    # What is wrong with preparing concerns every workload of a run, and is said once.
    notes = dict.fromkeys(note for each in measured for note in each.notes)
    if notes:
        parts += ["## Notes", "", *[f"- {note}" for note in notes], ""]
    return parts


def machine() -> str:
    """Processor, system and the libraries that were measured."""
    libraries = ", ".join(f"{name} {each}" for name, each in _installed().items())
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{processor(_cpuinfo())}, {len(os.sched_getaffinity(0))} CPUs, {system}, {libraries}"


def _installed() -> dict[str, str]:
    found = {}
    for name in _VERSIONS:
        with suppress(
            PackageNotFoundError
        ):  # the others' come with the first workload that compares with them
            found[name] = version(name)
    return found


_OF_LAMBDA: list[tuple[str, str, float, str]] = [
    ("first of the run s", "first_of_run_s", 1, ".2f"),
    ("init ms", "init_s", 1000, ".0f"),
    ("first request billed ms", "first_billed_s", 1000, ".0f"),
]
"""What a REPORT line says, and `bench.deployed` measures."""


def table(field: Mapping[str, dict[str, Json]]) -> list[str]:
    """A line for each contender, without the columns that nobody has a figure for."""
    keys = dict.fromkeys(key for measured in field.values() for key in measured)
    is_generation = generation.is_generation(field)
    warm = [key for key in keys if key.startswith("warm:") and not is_generation]
    columns: list[tuple[str, str, float, str]] = [
        *_OF_LAMBDA,
        ("first token s" if is_generation else "first answer s", "first_s", 1, ".2f"),
        ("first answer, one thread s", "one_cpu_first_s", 1, ".2f"),
        ("slow file system s", "slow_s", 1, ".2f"),
        *((f"warm {key[5:]} ms", key, 1000, ".1f") for key in warm),
        ("warm, one thread ms", "one_cpu_s", 1000, ".1f"),
        ("peak MB", "peak_mb", 1, ".0f"),
        ("installed MB", "installed_bytes", 1e-6, ".0f"),
        ("image files opened", "image_files", 1, ".0f"),
        ("image MB read", "called_bytes", 1e-6, ".1f"),
        ("with page faults MB", "image_bytes", 1e-6, ".1f"),
        ("model MB read", "model_bytes", 1e-6, ".1f"),
    ]
    hidden = {"one_cpu_s"} if warm else set()  # where all was measured it stands in the cost alone
    columns = [each for each in columns if each[1] in keys.keys() - hidden]
    rates = [each for each in generation.COLUMNS if each[1] in keys] if is_generation else []
    cost = "USD per million tokens" if is_generation else "USD per million"
    titles = [*(title for title, *_ in columns), *(title for title, _ in rates)]
    titles += ["of memory bandwidth, one thread"] if is_generation else []
    lines = ["| | " + " | ".join([*titles, cost]) + " |"]
    lines.append("|---|" + "---|" * (len(titles) + 1))
    ancestor = field.get("ancestor", {})
    for name, measured in field.items():
        cells = [_cell(measured, ancestor, key, scale, form, name) for _, key, scale, form in columns]
        cells += [_rate(measured, ancestor, key, name) for _, key in rates]
        cells += [generation.bandwidth_share(measured)] if is_generation else []
        lines.append(f"| {name} | " + " | ".join([*cells, _cost(measured)]) + " |")
    return lines


def _cell(
    measured: dict[str, Json], ancestor: dict[str, Json], key: str, scale: float, form: str, name: str
) -> str:
    value, base = middle(measured.get(key)), middle(ancestor.get(key))
    if value is None:
        return "-"
    ratio = f" ({base / value:.1f}x)" if base and value and name != "ancestor" else ""
    return f"{value * scale:{form}}{ratio}"


def _rate(measured: dict[str, Json], ancestor: dict[str, Json], key: str, name: str) -> str:
    """Tokens a second, of the seconds that one takes."""
    value, base = middle(measured.get(key)), middle(ancestor.get(key))
    if not value or value < 0:  # shorter than the machine's own noise
        return "-"
    ratio = f" ({base / value:.1f}x)" if base and name != "ancestor" else ""
    return f"{1 / value:.1f}{ratio}"


def _cost(measured: dict[str, Json]) -> str:
    if (billed := middle(measured.get("usd_per_million"))) is not None:
        return f"{billed:.2f}"
    seconds, peak = middle(measured.get("one_cpu_s")), middle(measured.get("peak_mb"))
    token_s = middle(measured.get("one_cpu_token_s"))
    if token_s and peak is not None:
        _, memory_mb = usd_per_million(token_s, peak)
        # A request has many tokens: neither its price nor the rounding to milliseconds counts for each.
        return f"{1_000_000 * token_s * memory_mb / 1024 * GB_SECOND_USD:.2f} at {memory_mb:,} MB"
    if seconds is None or peak is None:
        return "-"
    usd, memory_mb = usd_per_million(seconds, peak)
    return f"{usd:.2f} at {memory_mb:,} MB"


def _targets(measured: Mapping[str, Measured], *, only_measured: bool = False) -> list[str]:
    """Ratios of the medians, and how far the single rounds are apart: a machine may not be alone."""
    lines = ["| | target | seen | by round | |", "|---|---|---|---|---|"]
    of_the_ancestor = [(*each, ("ancestor", each[-1])) for each in TARGETS]
    for workload, what, contender, target, key, (other, beside) in (*of_the_ancestor, *AGAINST):
        field = measured[workload].contenders if workload in measured else {}
        theirs, ours = field.get(other, {}), field.get(contender, {})
        if key not in ours and key == beside and (alone := _ONE_THREAD.get(key)) in ours:
            what, key, beside = f"{what}, one thread", alone, alone
        base, value = middle(theirs.get(beside)), middle(ours.get(key))
        if not base or not value:
            if only_measured:
                continue
            lines.append(f"| {workload}: {what} | {target}x | not measured | | |")
            continue
        ratio = base / value
        verdict = "held" if ratio >= target else f"missed by {max(1, round(100 * (1 - ratio / target)))} %"
        single = _by_round(theirs[beside], ours[key], measured[workload].rounds)
        lines.append(
            f"| {workload}: {what} | {target}x | {ratio:.1f}x | {single} | {verdict} |".replace("|  |", "| |")
        )
    return lines


def _by_round(base: Json, value: Json, rounds: int) -> str:
    """Smallest and largest ratio of one round's medians; nothing for what was counted once."""
    if not isinstance(base, list) or rounds < 2:
        return ""
    turns = min(rounds, len(base), len(value))  # fewer where a round failed
    if turns < 2:
        return ""
    parts = [
        [
            median(values[turn * len(values) // turns : (turn + 1) * len(values) // turns])
            for turn in range(turns)
        ]
        for values in (base, value)
    ]
    ratios = [before / after for before, after in zip(*parts, strict=True)]
    return f"{min(ratios):.1f}x to {max(ratios):.1f}x"


def data_folder(cpuinfo: str | None = None) -> Path:
    """Where figures of this machine belong, by its `/proc/cpuinfo`."""
    flags = _described(_cpuinfo() if cpuinfo is None else cpuinfo).get("flags", "").split()
    return figures.AVX2_DATA if "avx2" in flags and not {*flags} & {*_FOR_8_BITS} else figures.DATA


def processor(cpuinfo: str) -> str:
    """Its name in Linux's `/proc/cpuinfo`, and what of its instructions decides how fast 8 bits are."""
    described = _described(cpuinfo)
    known = [name for name in _INSTRUCTIONS if name in described.get("flags", "").split()]
    name = described.get("model name", platform.machine())
    return f"{name} with {', '.join(known)}" if known else name


def _cpuinfo() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text() if info.exists() else ""


def _described(cpuinfo: str) -> dict[str, str]:
    """Of the first processor."""
    described: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        described.setdefault(key.strip(), value.strip())
    return described
