"""What every step does; runs in a process of its own, reads the plan and leaves `<step>.json`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .plan import Disagreement, NotPrepared, Plan

CONTRACT = ("tokenizer.json", "serving.json")
"""Files that the export writes beside its graphs and that every precision needs."""


def run_step(work: Path, step: str) -> None:
    """Run `step` of the plan in `work` and write down its result, seconds and peak memory, last of all.

    A step may have an argument: "quantize-20" keeps the last 20 % of the matrices as they are.
    """
    plan, started = Plan.read(work), time.monotonic()
    name, _, argument = step.partition("-")
    record: dict[str, Any]
    try:
        record = {"result": _STEPS[name](plan, work, argument)}
    except NotPrepared as refusal:
        record = {"not_prepared": refusal.reason}
    record |= {"seconds": round(time.monotonic() - started, 2), "peak_mb": _peak_mb()}
    temporary = work / f".{step}.json"
    temporary.write_text(json.dumps(record))
    temporary.replace(work / f"{step}.json")


def _export(plan: Plan, work: Path, _: str) -> dict[str, Any]:
    """fp32 graphs, tokenizer.json, serving.json in `export/`; transformers' own answers to the samples."""
    _fresh(work / "export")
    if plan.head == "seq2seq-lm":
        from .seq2seq import export as seq2seq

        seq2seq.export(Path(plan.snapshot), plan.task, work / "export")
    elif plan.head == "causal-lm":
        from .decoder import export as decoders

        decoders.export_reference(work)
    else:
        from .encoder import export as encoders

        encoders.export(Path(plan.snapshot), plan.task, work)
    return {"graphs": [path.name for path in _graphs(work / "export")]}


def _optimize(plan: Plan, work: Path, _: str) -> dict[str, Any]:
    from .onnx.optimize import optimize

    target = _fresh(work / "fp32")
    dense = {}
    for graph in _graphs(work / "export"):
        dense[f"{graph.name}.data"] = optimize(graph, target / graph.name)
    _contract(work / "export", target, dense)
    shutil.rmtree(work / "export")  # a copy of the weights less on the disk
    return {}


def _write(plan: Plan, work: Path, precision: str) -> dict[str, Any]:
    """The graph of a language model in one precision, where the function has the memory for it."""
    from .decoder import export as decoders

    needed_mb = decoders.memory_mb(plan, precision)
    if precision == "fp32" and plan.requested != "fp32" and needed_mb > plan.memory_mb:
        return {"refused": f"fp32 takes {needed_mb} MB of memory, the function has {plan.memory_mb}"}
    for other in ("int4", "int8", "fp32"):
        shutil.rmtree(work / other, ignore_errors=True)  # what was refused; the disk may not hold both
    target = _fresh(work / precision)
    _contract(work / "export", target, decoders.export_graph(plan, target, precision))
    return {"memory_mb": needed_mb}


def _quantize(plan: Plan, work: Path, percent: str) -> dict[str, Any]:
    from .onnx.quantize import quantize

    target = _fresh(work / "int8")
    feeds = None
    if plan.head != "seq2seq-lm":
        from .encoder.check import feeds_of

        feeds = feeds_of(work)
    dense = {}
    for graph in _graphs(work / "fp32"):
        dense[f"{graph.name}.data"] = quantize(
            graph, target / graph.name, machine=plan.machine, feeds=feeds, kept=int(percent) / 100
        )
    _contract(work / "fp32", target, dense)
    return {}


def _check(plan: Plan, work: Path, candidate: str) -> dict[str, Any]:
    precision = candidate.partition("-")[0]
    try:
        if plan.head == "seq2seq-lm":
            from .seq2seq.check import gate_generation

            agreement = gate_generation(plan, work, precision)
        elif plan.head == "causal-lm":
            from .decoder.check import gate as gate_scores

            agreement = gate_scores(plan, work, precision)
        else:
            from .encoder.check import gate

            agreement = gate(plan, work, precision)
    except Disagreement as refusal:
        return {"refused": refusal.reason, "agreement": refusal.agreement}
    return {"agreement": agreement}


_STEPS: dict[str, Callable[[Plan, Path, str], dict[str, Any]]] = {
    "export": _export,
    "optimize": _optimize,
    "write": _write,
    "check": _check,
    "quantize": _quantize,
}


def _contract(source: Path, target: Path, dense: dict[str, int]) -> None:
    """serving.json also says how many bytes of each weight file a run reads for certain (`prefetch`)."""
    for name in CONTRACT:
        shutil.copyfile(source / name, target / name)
    path = target / "serving.json"
    document = {**json.loads(path.read_text()), "prefetch": dense}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1))


def _graphs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.onnx"))


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _peak_mb() -> int:
    """Peak resident memory of this process. Not ru_maxrss: a child inherits that of its parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    return 0
