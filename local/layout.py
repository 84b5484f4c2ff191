"""Paths of what the local stack keeps on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

from warmup.protocol.reports import WarmReport

IN_IMAGE = "in-image"


@dataclass(frozen=True)
class Folder:
    """`.local`: everything that the local stack leaves on disk."""

    path: Path
    root: Path
    """Of the repository."""

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def efs(self) -> Path:
        return self.path / "efs"

    @property
    def in_image(self) -> Path:
        """A folder for each endpoint whose models are in its image."""
        return self.path / IN_IMAGE

    @property
    def image_reports(self) -> Path:
        return self.logs / "images"

    def image_report(self, endpoint: str) -> Path:
        """What was made of the models in its image."""
        self.image_reports.mkdir(parents=True, exist_ok=True)
        return self.image_reports / f"{endpoint}.json"

    def made_in_image(self, endpoint: str) -> WarmReport | None:
        """What its report says; None as long as there is none."""
        path = self.image_reports / f"{endpoint}.json"
        return WarmReport.from_json(json.loads(path.read_text())) if path.is_file() else None

    @property
    def outputs(self) -> Path:
        return self.path / "outputs.json"

    @property
    def program(self) -> Path:
        return self.path / "program.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def results(self) -> Path:
        """What became of asynchronous requests, until somebody reads it."""
        return self.path / "results"

    @property
    def gateway_port(self) -> Path:
        """Kept for the next `make up`: whoever calls the gateway finds it again."""
        return self.path / "gateway.port"

    @property
    def container(self) -> Path:
        """Which container the stack runs in, if in one of its own."""
        return self.path / "container.json"

    @property
    def page(self) -> Path:
        """Address of the page, with its secret; while the gateway runs."""
        return self.run / "page.url"

    @property
    def emulator(self) -> Path:
        return self.path / "bin/aws-lambda-rie"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
