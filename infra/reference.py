"""`python -m infra.reference` writes the table of docs/configuration.md; `make fix` runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from hf_lambda.records import Json

from .keys import keys_of
from .settings import EndpointSettings

_TABLE = re.compile(r"(?<=\| key \| default \| what \|\n\|---\|---\|---\|\n)(?:\|.*\n)*")


def with_table(page: str, project: dict[str, Json]) -> str:
    """`page` with a row for each key that `project`, the content of Pulumi.yaml, declares."""
    rows = [
        f"| `{key}`{_mark(key)} | `{_shown(declared['default'])}` | {declared['description']} |\n"
        for key, declared in project["config"].items()
        if ":" not in key
    ]
    return _TABLE.sub(lambda _: "".join(rows), page)


def _mark(key: str) -> str:
    return r" \*" if key in keys_of(EndpointSettings) else ""


def _shown(value: Json) -> str:
    """As Pulumi.yaml has it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {each}' for key, each in value.items())}}}"
    return str(value) if isinstance(value, str) and value else json.dumps(value)


if __name__ == "__main__":
    page, project = Path("docs/configuration.md"), Path("Pulumi.yaml")
    page.write_text(with_table(page.read_text(), yaml.safe_load(project.read_text())))
