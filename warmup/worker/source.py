"""Where models come from: the Hub, or the staging bucket of a stack without egress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .plan import RemoteFile


class Source(Protocol):
    """Methods raise WarmupError with the fix, and Stopped soon after `stop` is set."""

    def resolve(self, model: str, revision: str | None, stop: threading.Event) -> str:
        """The commit that `revision` (None: main) names now."""

    def tree(self, model: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        """Every file of `commit`, with what it takes to verify it."""

    def download(
        self,
        model: str,
        commit: str,
        file: RemoteFile,
        hub_cache: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Put `file` into the Hub's cache layout in `hub_cache`; `received` is told of every chunk."""
