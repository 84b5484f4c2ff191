"""Writes figures after each measurement; one that fails is noted, and the run goes on."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import figures
from bench.contenders import Contender
from bench.figures import Measured
from bench.workloads import Workload
from hf_lambda.records import Json

_FAILURES = (OSError, RuntimeError, ValueError, subprocess.SubprocessError, http.client.HTTPException)


class Results:
    """The figures and notes of one workload, in `folder` after each measurement, whenever the run ends."""

    def __init__(self, workload: Workload, rounds: int, on: str, notes: list[str], folder: Path) -> None:
        self.measured = Measured(workload.name, rounds, on, {}, list(notes))
        self._folder = folder

    @contextmanager
    def measuring(self, what: str, contender: Contender) -> Iterator[dict[str, Json]]:
        """The contender's figures, to add to. What fails inside is a sentence in the notes."""
        what = f"{self.measured.workload} {what}: {contender.name}"
        sys.stderr.write(f"bench: {what}\n")
        try:
            yield self.measured.contenders.setdefault(contender.name, {})
        except _FAILURES as error:
            first_line = (str(error) or type(error).__name__).splitlines()[0]
            self.measured.notes.append(f"{what} failed: {first_line[:300]}")
            sys.stderr.write(f"bench: failed: {error}\n")
        finally:
            figures.write(self.measured, self._folder)
