"""The recipe: which steps make a prepared folder, each in a process of its own and never twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from hf_lambda.atomic import make_folder, remove, replace_text
from hf_lambda.engines import STATIC
from hf_lambda.manifest import PreparedEntry
from hf_lambda.records import read_file
from hf_lambda.tasks import TORCH_ONLY

from ..protocol.errors import ErrorKind
from ..worker.locks import lock_if_free
from . import folder as prepared_folder
from .request import (
    RECIPE,
    Figures,
    NotPrepared,
    PrepareFailed,
    PrepareRequest,
    Unfinished,
    Verdict,
    config_of,
    fp32_bytes,
)
from .steps import ENCODER, StepRecord, record_path, run_step, what_is_lacking

_FP32_PERCENTS = ("0", "20", "40")
"""Percent of the matrices that int8 candidates leave in fp32, in the order in which they are tried."""
_GENERATING = ("seq2seq-lm", "image-to-text")
"""Heads of two graphs, which generate: int8 throughout or not at all."""
_MARGIN_S = 10.0
"""Time that the caller keeps to write down what happened."""
_ATTEMPTS = 3
_LOCK = "lock"
_STAMP = "key.json"
_PASSED_ON = re.compile(
    "PATH|HOME|TMPDIR|TZ|LANG|LC_.*|LD_LIBRARY_PATH|XDG_CACHE_HOME|HF_HOME|HF_HUB_CACHE|(OMP|MKL)_.*"
    "|AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
)
"""Variables of this process that a child gets; the last tells it how many threads to use."""
_KEEPS_STEPS = (ErrorKind.OUT_OF_MEMORY, ErrorKind.NOT_PREPARED, ErrorKind.CACHE)
"""Failures after which the finished steps stay; the others give the room back."""


def prepare(
    request: PrepareRequest,
    *,
    into: Path,
    progress: Callable[[str], None] = lambda step: None,
    remaining_s: Callable[[], float] | None = None,
    isolated: bool = True,
) -> PreparedEntry:
    """Prepare what `request` says as a folder of `into`, and return its entry for the manifest.

    The entry's `path` is that folder, absolute. A valid folder that is already there is returned as it is.
    remaining_s: seconds until the caller has to be done; Unfinished is raised rather than going past it.
    isolated: run every step in a process of its own, which gives its memory back.
    Raises NotPrepared where the family cannot be prepared or fp32 disagrees with transformers: a verdict.
    Raises PrepareFailed where it cannot be told: the machine lacks room, memory or time, or the repository
    what the task needs.
    """
    if request.task in TORCH_ONLY:
        raise NotPrepared(f"models for {request.task} are not prepared: torch answers them")
    folder = into.absolute() / request.folder_name
    work = folder.with_name(f".work-{folder.name}")
    with _only_run(work):
        entry = prepared_folder.valid_entry(folder, gate_key=request.gate_key)
        if entry is not None:
            entry = _with_memory(request, entry, folder)
            if entry.precision != request.first_precision and entry.memory_mb > request.memory_mb:
                entry = None  # made for a larger function
        if entry is None:
            entry = _prepare(request, folder, StepRunner(request, work, progress, remaining_s, isolated))
    shutil.rmtree(work, ignore_errors=True)
    return replace(_with_memory(request, entry, folder), path=str(folder))


def _with_memory(request: PrepareRequest, entry: PreparedEntry, folder: Path) -> PreparedEntry:
    """`entry` with what a function needs to serve a language model as `request` asks for it."""
    if not request.is_language_model:
        return entry
    from .decoder.memory import memory_of

    memory_mb, context = memory_of(folder, request.max_context)
    return replace(entry, memory_mb=memory_mb, context=context)


def _prepare(request: PrepareRequest, folder: Path, runner: StepRunner) -> PreparedEntry:
    keep_finished_steps(request, runner.work)
    try:
        _check_space(request, runner.work)
        candidate_of = _language_model if request.is_language_model else _converted
        candidate_of = _static if request.is_static else candidate_of
        precision, agreement, reason = candidate_of(request, runner)
    except NotPrepared as error:
        # The next warm-up starts anew: a newer library may manage. With more memory or time the steps that
        # are done still count.
        if not isinstance(error, PrepareFailed) or error.kind not in _KEEPS_STEPS:
            shutil.rmtree(runner.work, ignore_errors=True)
        raise
    candidate = runner.work / precision
    started = time.monotonic()
    files = prepared_folder.hashes(candidate)
    entry = PreparedEntry(
        head=request.head,
        requested=request.requested,
        precision=precision,
        path=str(folder),
        machine=request.machine,
        onnxruntime=version("onnxruntime"),
        recipe=RECIPE,
        bytes=sum(file.size for file in files.values()),
        seconds=round(runner.seconds() + time.monotonic() - started, 1),
        peak_mb=runner.peak_mb(),
        agreement={name: dict(figures) for name, figures in agreement.items()},
        reason=reason,
        prepared_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    document = prepared_folder.Document(entry, request.gate_key, request.repo_id, request.commit, files)
    remove(runner.work / _STAMP)  # what is left without the candidate is of no use to another run
    prepared_folder.publish(candidate, folder, document)
    return entry


Candidate = tuple[str, dict[str, Figures], str | None]
"""Precision to publish, agreement by precision, and why it is not the precision that was asked for."""


def _converted(request: PrepareRequest, runner: StepRunner) -> Candidate:
    """The best candidate of a model that torch exports."""
    runner.run("export")
    runner.run("optimize")
    verdict = runner.check("check-fp32")
    if verdict.refused:
        raise NotPrepared(f"onnxruntime and transformers disagree: {verdict.refused}")
    agreement: dict[str, Figures] = {"fp32": verdict.figures}
    if request.precision == "fp32":
        return "fp32", agreement, None
    # The first candidate is int8 throughout; the others leave more and more of the last layers as they are.
    for fp32 in _candidates(request):
        quantized = runner.run(f"quantize-{fp32}").verdict
        if quantized is not None and quantized.refused:
            return "fp32", agreement, quantized.refused
        verdict = runner.check(f"check-int8-{fp32}")
        if verdict.figures:
            kept = {"fp32_encoder": 1} if fp32 == ENCODER else {"fp32_share": int(fp32) / 100}
            agreement["int8"] = {**verdict.figures, **kept}
        if verdict.refused is None:
            return "int8", agreement, None
    return "fp32", agreement, verdict.refused


def _static(request: PrepareRequest, runner: StepRunner) -> Candidate:
    """The one form of a table of token vectors."""
    runner.run("export")
    verdict = runner.check("check-static")
    if verdict.refused:
        raise NotPrepared(f"numpy and torch disagree: {verdict.refused}")
    return STATIC, {STATIC: verdict.figures}, None


def _candidates(request: PrepareRequest) -> tuple[str, ...]:
    """What of an int8 model stays in fp32, in the order in which it is tried."""
    if request.head in _GENERATING:
        return _FP32_PERCENTS[:1]
    if (
        request.head == "automatic-speech-recognition"
        and config_of(request.snapshot)["model_type"] == "whisper"
    ):
        # Who asks for int8 gets the faster one where it passes.
        first = (_FP32_PERCENTS[0], ENCODER)
        return first if request.precision == "int8" else first[::-1]
    return _FP32_PERCENTS


_NEXT_BETTER = {
    "int4": ("int4", "int8-128", "int8-32", "fp32"),
    "int8": ("int8-128", "int8-32", "fp32"),
    "fp32": ("fp32",),
}
"""Candidates of language models, in the order in which they are tried, by the first precision. The number is
how many weights of a row share a scale: 128 answer sooner, 32 agree better."""


def _language_model(request: PrepareRequest, runner: StepRunner) -> Candidate:
    """The first candidate that passes, from the precision asked for, of a model whose graph is written."""
    runner.run("export")
    agreement: dict[str, Figures] = {}
    refusals: dict[str, str] = {}
    for candidate in _NEXT_BETTER[request.first_precision]:
        precision, _, _ = candidate.partition("-")
        verdict = written = runner.check(f"write-{candidate}")
        if written.refused is None:
            verdict = runner.check(f"check-{candidate}")
            agreement[precision] = {**verdict.figures, **written.figures}
        if verdict.refused is None:
            refusals.pop(precision, None)  # of an earlier candidate
            return precision, agreement, "; ".join(refusals.values()) or None
        refusals[precision] = verdict.refused
    raise NotPrepared("; ".join(refusals.values()))


def _check_space(request: PrepareRequest, work: Path) -> None:
    """Raises PrepareFailed before anything is written where the disk has not the room for all of it."""
    if record_path(work, "optimize").is_file():
        return  # from here on candidates alone are written, which are smaller than what was deleted
    # At the peak: the exported graph, the one that onnxruntime writes of it, and ours of that.
    copies = 1 if request.is_language_model else 3
    there = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    needed, free = copies * fp32_bytes(request.snapshot) - there, shutil.disk_usage(work).free
    if needed > free:
        raise PrepareFailed(
            f"it takes {needed / 1e6:,.0f} MB of the cache's disk for a while, {free / 1e6:,.0f} MB are "
            "free. Make room: python -m warmup prune",
            ErrorKind.DISK_FULL,
        )


def keep_finished_steps(request: PrepareRequest, work: Path) -> None:
    """Keep what an earlier run left in `work` only if it was asked for the same, wherever the files lie."""
    memory = [request.memory_mb, request.max_context]
    key = json.dumps([request.task, request.commit, request.gate_key, *memory])
    stamp = work / _STAMP
    if not stamp.is_file() or stamp.is_symlink() or stamp.read_bytes() != key.encode():
        for left in work.iterdir():
            if left.name != _LOCK:
                remove(left)
        replace_text(stamp, key, within=work)
    remove(work / "request.json")  # whatever it is: it may be no file
    request.write(work)


@contextmanager
def _only_run(work: Path) -> Iterator[None]:
    """Two warm-ups at once: the second is told to come back, and then finds the folder of the first."""
    make_folder(work, within=work.parent)
    if not (work / _LOCK).is_file():
        remove(work / _LOCK)
    with lock_if_free(work / _LOCK) as is_ours:
        if not is_ours:
            raise Unfinished(f"another run is preparing {work.name.removeprefix('.work-')}")
        yield


class StepRunner:
    """Runs steps one by one. A step that is done left its record in the work folder and is not run again."""

    def __init__(
        self,
        request: PrepareRequest,
        work: Path,
        progress: Callable[[str], None],
        remaining_s: Callable[[], float] | None,
        isolated: bool,
    ) -> None:
        self.work = work
        self._name = request.folder_name
        self._progress, self._remaining_s, self._isolated = progress, remaining_s, isolated
        self._records: dict[str, StepRecord] = {}

    def run(self, step: str) -> StepRecord:
        """Record of `step`. Raises NotPrepared where it refuses, PrepareFailed where it cannot be done here,
        Unfinished out of time."""
        record = self._record(step)
        if record is None:
            timeout_s = self._remaining_s() - _MARGIN_S if self._remaining_s else None
            if timeout_s is not None and timeout_s <= 0:
                raise Unfinished(f"no time left for the step {step!r} of {self._name}")
            self._progress(step)
            self._count_attempt(step)
            if self._isolated:
                self._run_isolated(step, timeout_s)
            else:
                run_step(self.work, step)
            record = self._record(step)
        if record is None:
            raise NotPrepared(f"the step {step!r} ended and left no record")
        if record.error is not None:
            record_path(self.work, step).unlink()
            self._attempts_path(step).unlink(missing_ok=True)
            raise PrepareFailed(record.error.message, record.error.kind)
        if record.not_prepared is not None:
            raise NotPrepared(record.not_prepared)
        self._records[step] = record
        return record

    def check(self, step: str) -> Verdict:
        """Verdict of a step that is a check."""
        verdict = self.run(step).verdict
        if verdict is None:
            raise TypeError(f"the step {step!r} left no verdict")
        return verdict

    def peak_mb(self) -> int:
        """Largest resident memory of a step's process; of this process where steps are not isolated."""
        return max((record.peak_mb for record in self._records.values()), default=0)

    def seconds(self) -> float:
        return float(sum(record.seconds for record in self._records.values()))

    def _record(self, step: str) -> StepRecord | None:
        """What the step left; None where it did not, or what is there is damaged."""
        path = record_path(self.work, step)
        try:
            return StepRecord.from_json(json.loads(read_file(path)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            remove(path)
            return None

    def _attempts_path(self, step: str) -> Path:
        return self.work / f"{step}.attempts"

    def _count_attempt(self, step: str) -> None:
        """Every start is written down first: a step that kills its machine must not be tried for ever.

        Raises PrepareFailed after the last attempt; the next warm-up has as many.
        """
        path = self._attempts_path(step)
        attempts = _number(path)
        if attempts >= _ATTEMPTS:
            remove(path)
            raise PrepareFailed(
                f"the step {step!r} was started {attempts} times and never ended: "
                "give the warm-up more memory or time, or write engine='torch'"
            )
        replace_text(path, str(attempts + 1), within=self.work)

    def _run_isolated(self, step: str, timeout_s: float | None) -> None:
        command = [sys.executable, "-m", run_step.__module__, str(self.work), step]
        # Not beside the weights: where their disk is full, what the step says of it would be lost.
        with tempfile.TemporaryFile() as log:
            try:
                code = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=child_environment(os.environ),
                    timeout=timeout_s,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise Unfinished(f"the step {step!r} needs more than {timeout_s:.0f} s") from error
            log.seek(0)
            last = " ".join(log.read().decode(errors="replace").strip().splitlines()[-1:])
        if code == 0:
            return
        failed = f"the step {step!r} failed: {last}"
        kind = what_is_lacking(RuntimeError(last), self.work)
        if kind is None and code > 0:
            raise NotPrepared(failed)
        remove(self._attempts_path(step))
        if code < 0 and kind is not ErrorKind.DISK_FULL:
            raise PrepareFailed(
                f"the step {step!r} was killed (signal {-code}), most likely out of memory: "
                "give the warm-up more memory, or write engine='torch'",
                ErrorKind.OUT_OF_MEMORY,
            )
        raise PrepareFailed(failed, kind or ErrorKind.OUT_OF_MEMORY)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child process that loads a model needs of `environ`, and no more."""
    kept = {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**kept, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def _number(path: Path) -> int:
    """The digit in `path`; 0 where there is none."""
    try:
        written = read_file(path)
    except OSError:
        return 0
    return int(written) if re.fullmatch(rb"[0-9]", written) else 0
