"""What the Hub reads from a repository's files for its model info: the card's front matter, the config."""

from __future__ import annotations

import json
from collections.abc import Iterable

import yaml

from hf_lambda.records import Json

from .repositories import File


def card_of(files: Iterable[File]) -> dict[str, Json]:
    """The YAML block that README.md begins with; empty where there is none, or none that can be read."""
    lines = _text(files, "README.md").splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in lines[1:]:
        return {}
    try:
        found = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
        # Dates and the like become text.
        card = json.loads(json.dumps(found, default=str))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}


def architecture_of(files: Iterable[File]) -> dict[str, Json]:
    """`architectures` and `model_type` of config.json, as the Hub shows them."""
    try:
        config = json.loads(_text(files, "config.json"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(config, dict):
        return {}
    return {key: config[key] for key in ("architectures", "model_type") if key in config}


def _text(files: Iterable[File], path: str) -> str:
    file = next((each for each in files if each.path == path), None)
    return file.source.read_text(encoding="utf-8", errors="replace") if file else ""
