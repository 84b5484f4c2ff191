"""Writes figures after each measurement; one that fails is noted, and the run goes on."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import Contender
from bench.report import Figures
from bench.workloads import Workload
from hf_lambda.atomic import replace_text
from hf_lambda.records import Json

_FAILURES = (OSError, RuntimeError, ValueError, subprocess.SubprocessError, http.client.HTTPException)


class Results:
    """`figures` and `notes` for the page; the figures are in `path` too, whenever the run ends."""

    def __init__(self, path: Path, notes: list[str]) -> None:
        self.figures: Figures = {}
        self.notes = list(notes)
        self._path = path

    @contextmanager
    def measuring(self, what: str, workload: Workload, contender: Contender) -> Iterator[dict[str, Json]]:
        """The contender's figures, to add to. What fails inside is a sentence in `notes`."""
        sys.stderr.write(f"bench: {what}\n")
        try:
            yield self.figures.setdefault(workload.name, {}).setdefault(contender.name, {})
        except _FAILURES as error:
            first_line = (str(error) or type(error).__name__).splitlines()[0]
            self.notes.append(f"{what} failed: {first_line[:300]}")
            sys.stderr.write(f"bench: failed: {error}\n")
        finally:
            replace_text(self._path, json.dumps(self.figures, indent=1) + "\n")
