"""`coldDownload`: the first request downloads the model, as in a stack without a warm-up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .errors import ColdCache
from .manifest import Manifest, cold_message


def download(cache: Path, model: str, revision: str | None, environ: Mapping[str, str]) -> Manifest:
    """Fetch, verify and publish `model` as the warm-up does, without preparing it.

    Cold starts at the same time wait for the one that downloads. Raises ColdCache, with the reason where the
    download failed; an image without the warm-up cannot download.
    """
    try:
        from warmup.worker.client_settings import set_client_defaults

        set_client_defaults(os.environ)
        from warmup.protocol.errors import WarmupError
        from warmup.worker.cold import fetch_and_publish
    except ImportError:
        raise ColdCache(cold_message(model, revision, environ)) from None
    try:
        return fetch_and_publish(cache, model, revision, environ)
    except (WarmupError, OSError) as error:
        raise ColdCache(f"{cold_message(model, revision, environ)} ({error})") from error
