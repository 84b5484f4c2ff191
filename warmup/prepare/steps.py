"""What each step does, in a process of its own: `python -m warmup.prepare.steps <work folder> <step>`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hf_lambda.atomic import remove, replace_text
from hf_lambda.engines import STATIC
from hf_lambda.onnx_engine.contract import SOUND, VISION, read_contract, write_contract
from hf_lambda.sentence_embedding import WEIGHTS

from ..protocol.errors import ErrorKind, ErrorReport
from ..protocol.records import Record
from .request import NotPrepared, PrepareFailed, PrepareRequest, Verdict


@dataclass(frozen=True)
class StepRecord(Record):
    """What a step left in `<work>/<step>.json`: a verdict where it judges, or why it does not go on.

    not_prepared: a verdict on the model. error: what the machine lacks or the repository has wrong.
    """

    seconds: float
    peak_mb: int
    verdict: Verdict | None = None
    not_prepared: str | None = None
    error: ErrorReport | None = None


_LEAST_FREE_BYTES = 16 << 20
"""A disk with less is full: libraries that write in large pieces leave some, and name no reason."""
_SIGNS = {
    ErrorKind.DISK_FULL: ("No space left on device", "Disk quota exceeded"),
    ErrorKind.OUT_OF_MEMORY: (
        *("MemoryError", "bad_alloc", "Cannot allocate memory", "can't allocate memory"),
        *("ailed to allocate", "not enough memory"),
    ),
    ErrorKind.CACHE: ("Too many open files", "Input/output error", "Stale file handle"),
}
"""How the operating system, C++, torch and onnxruntime say it."""


def record_path(work: Path, step: str) -> Path:
    return work / f"{step}.json"


def run_step(work: Path, step: str) -> None:
    """Run `step` of the request in `work` and write down its record, last of all.

    A step may have an argument: "quantize-20" leaves the last 20 % of the matrices in fp32.
    """
    request, started = PrepareRequest.read(work), time.monotonic()
    name, _, argument = step.partition("-")
    verdict = refusal = failure = None
    try:
        verdict = _STEPS[name](request, work, argument)
    except PrepareFailed as error:
        failure = ErrorReport(error.kind, error.reason)
    except NotPrepared as error:
        refusal = error.reason
    except (MemoryError, OSError, RuntimeError) as error:
        kind = what_is_lacking(error, work)
        if kind is None:
            raise
        failure = ErrorReport(kind, f"the step {step!r} failed: {error or type(error).__name__}")
    record = StepRecord(round(time.monotonic() - started, 2), _peak_mb(), verdict, refusal, failure)
    replace_text(record_path(work, step), json.dumps(record.to_json()), within=work)
    if name == "optimize" and failure is None:
        # A copy of the weights less on the disk. Not before it is recorded that nothing needs it any more.
        remove(work / "export")


def what_is_lacking(error: Exception, work: Path) -> ErrorKind | None:
    """Whether a step failed for want of room, on the disk or in memory; None: for another reason."""
    text = f"{type(error).__name__}: {error}"
    if shutil.disk_usage(work).free < _LEAST_FREE_BYTES:
        return ErrorKind.DISK_FULL
    return next((kind for kind, signs in _SIGNS.items() if any(sign in text for sign in signs)), None)


def _export(request: PrepareRequest, work: Path, _: str) -> None:
    """fp32 graphs, tokenizer.json, serving.json in `export/`; transformers' own answers to the samples."""
    _fresh(work / "export")
    if request.is_static:
        from .static import export
    elif request.head == "seq2seq-lm":
        from .seq2seq.export import export
    elif request.head == "causal-lm":
        from .decoder.export import export
    elif request.is_language_model and request.task == "text-ranking":
        from .decoder.ranking import export
    elif request.is_language_model:
        from .decoder.embedding import export
    elif request.head in VISION:
        from .vision.export import export
    elif request.head in SOUND:
        from .sound.export import export
    elif request.head == "image-to-text":
        from .image_to_text.export import export
    else:
        from .encoder.export import export
    export(request, work)


def _optimize(request: PrepareRequest, work: Path, _: str) -> None:
    from .onnx.optimize import optimize

    target = _fresh(work / "fp32")
    prefetch = {}
    for graph in _graphs(work / "export"):
        prefetch[f"{graph.name}.data"] = optimize(graph, target / graph.name)
    _copy_contract(work / "export", target, prefetch)


def _write(request: PrepareRequest, work: Path, candidate: str) -> Verdict | None:
    """The graph of a language model as `candidate`, where the function has the memory for it.

    candidate: a precision, and how many weights of a row share a scale where that is not 32: "int8-128".
    """
    from hf_lambda.onnx_engine.decoder.model import GRAPH

    from .decoder.blocks import BLOCK
    from .decoder.export import expected_memory_mb, export_graph, judged_tokens

    precision, _, argument = candidate.partition("-")
    block = int(argument or BLOCK)
    needed_mb = expected_memory_mb(request, work, precision, block)
    if precision != request.first_precision and needed_mb > request.memory_mb:
        reason = f"{precision} takes {needed_mb} MB of memory, the function has {request.memory_mb}"
        return Verdict({}, reason)
    for other in ("int4", "int8", "fp32"):
        shutil.rmtree(work / other, ignore_errors=True)  # what was refused; the disk may not hold both
    target = _fresh(work / precision)
    written = export_graph(request, target, precision, judged_tokens(work), block=block)
    _copy_contract(work / "export", target, {f"{GRAPH}.data": written.dense})
    return Verdict({"block_size": written.block} if written.block else {})


def _quantize(request: PrepareRequest, work: Path, fp32: str) -> Verdict | None:
    """fp32: percent of the matrices that stay so, or "encoder". Refused where int8 saves next to nothing."""
    from .onnx.quantize import quantize

    target = _fresh(work / "int8")
    graphs = _graphs(work / "fp32")
    prefetch = {}
    if fp32 == ENCODER:
        encoder = graphs.pop([graph.name for graph in graphs].index("encoder.onnx"))
        for path in (encoder, encoder.with_name(f"{encoder.name}.data")):
            shutil.copyfile(path, target / path.name)
        prefetch = {f"{encoder.name}.data": read_contract(work / "fp32").prefetch[f"{encoder.name}.data"]}
    feeds = None
    if (
        request.head not in ("seq2seq-lm", "zero-shot-image-classification")
        and len(graphs) == 1
        and fp32 != ENCODER
    ):
        if request.head in VISION:
            from .vision.check import calibration_feeds
        elif request.head in SOUND:
            from .sound.check import calibration_feeds
        else:
            from .encoder.check import calibration_feeds

        feeds = calibration_feeds(work)
    for graph in graphs:
        prefetch[f"{graph.name}.data"] = quantize(
            graph,
            target / graph.name,
            machine=request.machine,
            feeds=feeds,
            fp32_fraction=0.0 if fp32 == ENCODER else int(fp32) / 100,
        )
    _copy_contract(work / "fp32", target, prefetch)
    share = _bytes(target) / _bytes(work / "fp32")
    if request.head in (*VISION, *SOUND) and share > _WORTH and fp32 != ENCODER:
        return Verdict({}, f"int8 would leave {share:.0%} of the bytes: most weights are not matrices")
    return None


ENCODER = "encoder"
"""Argument of "quantize": Whisper's encoder stays as it is, which its texts depend on most."""
_WORTH = 0.8
"""Largest share of fp32's bytes that is worth an answer that is not quite the same: what networks of
convolutions, which stay in fp32, never come to."""


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _check(request: PrepareRequest, work: Path, candidate: str) -> Verdict:
    """candidate: "fp32", or "int8-20" for the one that "quantize-20" made."""
    if candidate == STATIC:
        from .static import check as check_static

        return check_static(request, work)
    if request.head == "seq2seq-lm":
        from .seq2seq.check import check
    elif request.head == "causal-lm":
        from .decoder.check import check
    elif request.head in VISION:
        from .vision.check import check
    elif request.head in SOUND:
        from .sound.check import check
    elif request.head == "image-to-text":
        from .image_to_text.check import check
    else:
        from .encoder.check import check
    return check(request, work, candidate.partition("-")[0])


_STEPS: dict[str, Callable[[PrepareRequest, Path, str], Verdict | None]] = {
    "export": _export,
    "optimize": _optimize,
    "write": _write,
    "check": _check,
    "quantize": _quantize,
}


def _copy_contract(source: Path, target: Path, prefetch: Mapping[str, int]) -> None:
    """What stands beside a graph; serving.json also says what each weight file's readers read for certain."""
    for name in ("tokenizer.json", WEIGHTS):  # models of images have no tokenizer, few have dense layers
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    write_contract(replace(read_contract(source), prefetch=prefetch), target)


def _graphs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.onnx"))


def _fresh(folder: Path) -> Path:
    remove(folder)
    folder.mkdir(parents=True)
    return folder


def _peak_mb() -> int:
    """Peak resident memory of this process. Not ru_maxrss: a child inherits that of its parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    return 0


if __name__ == "__main__":
    run_step(Path(sys.argv[1]), sys.argv[2])
