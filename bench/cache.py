"""Fill a model cache for the benchmark: the real Hub client, the real preparation, the gate open for int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench import media
from bench.contenders import precisions
from bench.workloads import Workload

if TYPE_CHECKING:
    from hf_lambda.manifest import PreparedEntry


_NOTHING_ALIKE = 1e9


def fill(
    cache: Path, models: Mapping[str, Path], workloads: list[Workload], say: Callable[[str], None]
) -> list[str]:
    """Warm `cache` with every workload's model in the precisions to compare. Returns notes for the report.

    Random weights may give int8 other labels, which the gate refuses by design; here it lets them pass, since
    only speed is measured, and the notes say what it found.
    """
    from local.hub.server import Hub, serve

    notes: list[str] = []
    with serve(Hub(models)) as running:
        for workload in workloads:
            notes += _warm(cache, running.url, workload, say)
    return notes


def _warm(cache: Path, hub_url: str, workload: Workload, say: Callable[[str], None]) -> list[str]:
    from huggingface_hub import HfApi

    from hf_lambda.manifest import CachedFile, Manifest, repo_folder, write_manifest

    say(f"fetching {workload.model}")
    snapshot = Path(HfApi(endpoint=hub_url).snapshot_download(workload.model, cache_dir=cache / "hub"))
    entries = [_prepared(cache, snapshot, workload, precision, say) for precision in precisions(workload)]
    files = [
        CachedFile(str(f.relative_to(snapshot)), f.stat().st_size) for f in snapshot.rglob("*") if f.is_file()
    ]
    write_manifest(
        cache,
        Manifest(
            model=workload.model,
            revision="main",
            commit=snapshot.name,
            snapshot=f"hub/{repo_folder(workload.model)}/snapshots/{snapshot.name}",
            files=tuple(files),
            bytes=sum(file.size for file in files),
            warmed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            prepared=tuple(entries),
        ),
    )
    return [_note(workload, entry) for entry in entries]


def refused_precisions(cache: Path, workload: Workload) -> set[str]:
    """Those of `precisions` that the gate refused even so: something else was published."""
    from hf_lambda.manifest import read_manifest

    return {
        entry.requested
        for entry in read_manifest(cache, workload.model, None).prepared
        if entry.requested not in ("auto", entry.precision)
    }


def _note(workload: Workload, entry: PreparedEntry) -> str:
    """What was prepared, and of a quantised model how far the gate saw it from transformers."""
    if entry.requested not in ("auto", entry.precision):
        return f"{workload.name} was refused in {entry.requested}, and is not measured in it: {entry.reason}"
    size = f"{entry.bytes / 1e6:.0f} MB, {entry.seconds:.0f} s, peak {entry.peak_mb:,} MB"
    figures = entry.agreement.get(entry.precision, {}) if entry.precision != "fp32" else {}
    found = ", ".join(
        f"{name} {value:g}{_asked(name)}" for name, value in figures.items() if name != "samples"
    )
    opened = f"; the gate, open for random weights, found {found}" if found else ""
    return f"{workload.name} prepared in {entry.requested}: {size}{opened}."


def _asked(figure: str) -> str:
    """What the gate asks of a figure, where it is a setting."""
    from warmup.prepare import Tolerance

    usual = Tolerance()
    asked = {
        "probability_difference": f" ({usual.probability:g} is allowed)",
        "cosine": f" ({usual.cosine:g} is asked)",
        "same_text": f" ({usual.same_text:g} is asked)",
    }
    return asked.get(figure, "")


def _prepared(
    cache: Path, snapshot: Path, workload: Workload, precision: str, say: Callable[[str], None]
) -> PreparedEntry:
    from hf_lambda.manifest import repo_folder
    from warmup.prepare import PrepareRequest, Tolerance, prepare

    far = {f"{each}_{what}": _NOTHING_ALIKE for each in ("int4", "int8") for what in ("kl", "perplexity")}
    same = {"int4_same_choice": 0.0, "int8_same_choice": 0.0}
    # The gate's own eight take minutes of these, and say as little of random weights.
    large = {"automatic-speech-recognition": media.half_a_minute, "object-detection": media.photograph}
    samples = (large[workload.task](),) if workload.task in large else None

    request = PrepareRequest(
        workload.task,
        workload.model,
        snapshot.name,
        snapshot,
        precision=precision,
        samples=samples,
        tolerance=Tolerance(probability=1.0, cosine=-1.0, same_text=0.0, **far, **same),
    )
    entry = prepare(
        request,
        into=cache / "prepared" / repo_folder(workload.model) / snapshot.name,
        progress=lambda step: say(f"preparing {workload.model} {precision}: {step}"),
    )
    return replace(entry, path=str(Path(entry.path).relative_to(cache)))
