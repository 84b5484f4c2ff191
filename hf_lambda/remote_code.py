"""Code that a repository brings and transformers would run: where it is, and who may let it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .records import Json

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Consent:
    """A script's `trust_remote_code=True`."""

    code_revision: str | None = None
    """Commit of the code where another repository has it."""


def consent_problem(trust: object, revision: object, code_revision: object, engine: object) -> str | None:
    """Why a declaration with these may not run code of a repository, or None; `trust` False: it does not."""
    if trust not in (None, True, False):
        return f"`trust_remote_code={trust!r}`: write True, or leave it out"
    if not trust:
        return None if code_revision is None else "`code_revision` goes with `trust_remote_code=True` alone"
    if engine == "onnx":
        return '`trust_remote_code=True` with `engine="onnx"`: code is run by torch; leave the engine out'
    for name, value in (("revision", revision), ("code_revision", code_revision)):
        needed = name == "revision" or value is not None
        if needed and not (isinstance(value, str) and _COMMIT.fullmatch(value)):
            return (
                f"`trust_remote_code=True` runs code of the repository, so `{name}` must be a whole commit "
                f"of 40 digits, not {value!r}: what runs is then what you have read"
            )
    return None


def pinned_to(consent: Consent, repo_id: str, commit: str, snapshot: Path) -> Consent:
    """`consent` for the folder `snapshot`, which transformers does not take for `repo_id` itself."""
    if consent.code_revision is None and repo_id in code_repositories(snapshot):
        return Consent(commit)
    return consent


def code_repositories(snapshot: Path) -> set[str]:
    """Other repositories whose code the configs in `snapshot` name in `auto_map`."""
    references = (reference for document in _documents(snapshot) for reference in _references(document))
    return {reference.partition("--")[0] for reference in references if "--" in reference}


def names_code(snapshot: Path) -> bool:
    """Whether any config in `snapshot` names code."""
    return any(True for document in _documents(snapshot) for _ in _references(document))


def _documents(snapshot: Path) -> Iterator[dict[str, Json]]:
    for path in sorted(snapshot.glob("*config.json")):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            yield document


def _references(document: dict[str, Json]) -> Iterator[str]:
    """`module.Class` or `org/name--module.Class`; a tokenizer has a list of two."""
    named = document.get("auto_map")
    for value in named.values() if isinstance(named, dict) else ():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield each
