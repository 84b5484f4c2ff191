"""Models that are built into images: what the operator's machine has fetched for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pulumi

from discovery import Script
from hf_lambda.manifest import find_manifest
from warmup.protocol.errors import WarmupError
from warmup.protocol.models import ModelRequest, models_of_scripts
from warmup.worker.fetch import unfetched, with_adapters

from .settings import Settings

MODELS = "build/models"
"""Where `python -m warmup fetch --into build/models` leaves a folder for each endpoint."""
CheckModels = Callable[[Settings, Sequence[Script]], None]


def fetch_command(endpoints: Sequence[str]) -> str:
    """What brings the models of `endpoints` to where an image takes them from."""
    return " ".join(
        [f"python -m warmup fetch --into {MODELS}", *(f"--endpoint {name}" for name in endpoints)]
    )


def check_models(settings: Settings, scripts: Sequence[Script], root: Path = Path()) -> None:
    """Raises RunError with the command where models are lacking that an image is to be built with."""
    lacking: dict[str, list[str]] = {}
    for script in scripts:
        if script.name not in settings.in_image:
            continue
        folder = root / MODELS / script.name
        wanted = with_adapters(models_of_scripts([script]))
        missing = [each.key for each in wanted if not _is_there(folder, each)]
        # Without any model there has to be a folder all the same: it is what the image is built from.
        if missing or not folder.is_dir():
            lacking[script.name] = missing
    if lacking:
        lines = [
            f"{name}: storage is image, and {MODELS}/{name} has not {', '.join(missing) or 'been made'}"
            for name, missing in lacking.items()
        ]
        raise pulumi.RunError("\n".join([*lines, f"Fetch what is lacking: {fetch_command([*lacking])}"]))


def _is_there(folder: Path, model: ModelRequest) -> bool:
    """Whether all of it is, as its script wants it now."""
    manifest = find_manifest(folder, model.repo_id, model.revision)
    if manifest is None or not manifest.snapshot_path(folder).is_dir():
        return False
    try:
        return not unfetched(model, folder)
    except WarmupError:  # what is wanted is in no such repository: fetching says so
        return False
