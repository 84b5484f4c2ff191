"""The recipe: which steps make a prepared folder, in which order, and what is published at the end."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import publish
from .plan import MEMORY_MB, RECIPE, NotPrepared, Plan, Tolerance, Unfinished, plan_of
from .run import Runner

_KEPT = (0, 20, 40)
"""Percent of the matrices that int8 candidates leave in fp32, in the order in which they are tried."""


def prepare(
    task: str,
    snapshot: Path,
    *,
    requested: str = "auto",
    into: Path,
    model: str,
    commit: str,
    samples: list[Any] | None = None,
    tolerance: Tolerance | None = None,
    memory_mb: int = MEMORY_MB,
    progress: Callable[[str], None] = lambda line: None,
    remaining_s: Callable[[], float] | None = None,
    isolated: bool = True,
) -> dict[str, Any]:
    """Prepare `snapshot` for `task` as a folder of `into`, and return its entry for the manifest.

    The entry's `path` is that folder, absolute. A valid folder that is already there is returned as it is.
    requested: "auto" and "int8" publish int8 where the gate passes it and else fp32 with a `reason`.
    memory_mb: of the function that serves it; a language model that needs more in fp32 is not published so.
    remaining_s: seconds until the caller has to be done; Unfinished is raised rather than going past it.
    isolated: run every step in a process of its own, which gives its memory back.
    Raises NotPrepared where the family cannot be prepared or fp32 disagrees with transformers.
    """
    plan = plan_of(
        task,
        snapshot.absolute(),
        into.absolute(),
        requested=requested,
        model=model,
        commit=commit,
        samples=samples,
        tolerance=tolerance or Tolerance(),
        memory_mb=memory_mb,
    )
    folder = into.absolute() / plan.name
    with _alone(Path(plan.work)):
        entry = publish.valid_entry(folder, gate_key=plan.gate_key)
        if entry is None:
            entry = _prepare(plan, folder, Runner(plan, progress, remaining_s, isolated))
    shutil.rmtree(plan.work, ignore_errors=True)
    return {**entry, "path": str(folder)}


def _prepare(plan: Plan, folder: Path, runner: Runner) -> dict[str, Any]:
    _resume(plan)
    try:
        steps = _language_model if plan.head == "causal-lm" else _converted
        precision, agreement, reason = steps(plan, runner)
    except NotPrepared:
        # The next warm-up starts anew: a bigger function or a newer library may manage.
        shutil.rmtree(plan.work, ignore_errors=True)
        raise
    candidate = Path(plan.work, precision)
    started = time.monotonic()
    entry = {
        "head": plan.head,
        "requested": plan.requested,
        "precision": precision,
        "machine": plan.machine,
        "onnxruntime": version("onnxruntime"),
        "recipe": RECIPE,
        "bytes": sum(file.stat().st_size for file in candidate.iterdir()),
        "peak_mb": runner.peak_mb(),
        "agreement": agreement,
        "reason": reason,
        "prepared_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    document = {"entry": entry, "gate_key": plan.gate_key, "model": plan.model, "commit": plan.commit}
    hashes = publish.hashes(candidate)
    entry["seconds"] = round(runner.seconds() + time.monotonic() - started, 1)
    publish.publish(candidate, folder, {**document, "files": hashes})
    return entry


def _converted(plan: Plan, runner: Runner) -> tuple[str, dict[str, Any], str | None]:
    """Precision, agreement and why it is not the one that was asked for: of a model that torch exports."""
    runner.run("export")
    runner.run("optimize")
    verdict = runner.run("check-fp32")
    if verdict.get("refused"):
        raise NotPrepared(f"onnxruntime and transformers disagree: {verdict['refused']}")
    if plan.requested == "fp32":
        return "fp32", verdict["agreement"], None
    int8, reason = _int8(plan, runner)
    return "fp32" if reason else "int8", {**verdict["agreement"], **int8}, reason


_NEXT_BETTER = {"int4": ("int4", "int8", "fp32"), "fp32": ("fp32",)}
"""Of language models; anything else that is asked for begins at int8."""


def _language_model(plan: Plan, runner: Runner) -> tuple[str, dict[str, Any], str | None]:
    """The same of a model whose graph is written: in the first precision that passes, from that asked for."""
    runner.run("export")
    agreement: dict[str, Any] = {}
    refusals: list[str] = []
    for precision in _NEXT_BETTER.get(plan.requested, ("int8", "fp32")):
        written = runner.run(f"write-{precision}")
        if refused := written.get("refused"):
            refusals.append(refused)
            continue
        verdict = runner.run(f"check-{precision}")
        agreement |= verdict["agreement"]
        if not verdict.get("refused"):
            return precision, agreement, "; ".join(refusals) or None
        refusals.append(verdict["refused"])
    raise NotPrepared("; ".join(refusals))


def _int8(plan: Plan, runner: Runner) -> tuple[dict[str, Any], str | None]:
    """Agreement of the first int8 candidate that passes, or of the last one and why it does not.

    The first is int8 throughout; the others leave more and more of the last layers as they are.
    """
    reason, agreement = None, {}
    for percent in _KEPT if plan.head != "seq2seq-lm" else _KEPT[:1]:
        runner.run(f"quantize-{percent}")
        verdict = runner.run(f"check-int8-{percent}")
        agreement, reason = verdict["agreement"], verdict.get("refused")
        if "int8" in agreement:
            agreement["int8"]["fp32_share"] = percent / 100
        if reason is None:
            break
    return agreement, reason


def _resume(plan: Plan) -> None:
    """Keep what an earlier run left only if it had the same plan; paths may have moved, they do not count."""
    work = Path(plan.work)
    key = json.dumps([plan.task, plan.commit, plan.gate_key])
    stamp = work / "key.json"
    if not stamp.is_file() or stamp.read_text() != key:
        for left in work.iterdir():
            if left.name != _LOCK:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        stamp.write_text(key)
    plan.write()


_LOCK = "lock"


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Two warm-ups at once: the second is told to come back, and then finds the folder of the first."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unfinished(f"another run is preparing {work.name.removeprefix('.work-')}") from error
        yield
