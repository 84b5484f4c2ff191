"""Writes a script for a model into a folder of scripts, and takes one away."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from discovery import read_scripts
from discovery.names import NAME_LIMIT, name_problem
from hf_lambda.atomic import replace_text
from hf_lambda.remote_code import names_code
from hf_lambda.repo_id import is_repo_id
from hf_lambda.tasks import base_of

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.records import OMIT_DEFAULT, Key, Record
from ..worker.client_settings import read_token, set_client_defaults
from .facts import ModelFacts, read_facts
from .forecast import MOST_MEMORY_MB, Forecast, forecast
from .script import script_of
from .task import choose_task, has_labels, other_translations, plain

if TYPE_CHECKING:
    from ..worker.hub import HubSource

_HUB_PATIENCE_S = 10.0


@dataclass(frozen=True)
class AddReport(Record):
    """What was written, and what the endpoint will be; `add --json`. `usd_per_million` None: not measured."""

    name: str
    path: str
    task: str
    repo_id: Annotated[str, Key("model")]
    commit: str
    engine: str
    why: str
    image: str
    memory_mb: int
    needs_mb: int
    download_bytes: int
    cold_read_bytes: int
    usd_per_million: float | None
    warm_ms: float | None
    measured: str
    usd_per_million_seconds: float
    licence: str | None
    gated: str | None
    hub: str
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoveReport(Record):
    """`remove --json`: `copy` is where the script lies now."""

    name: str
    path: str
    copy: Annotated[str, OMIT_DEFAULT] = ""


def add(
    repo_id: str,
    scripts: Path,
    *,
    task: str | None = None,
    name: str | None = None,
    revision: str | None = None,
    hub: str | None = None,
    force: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> AddReport:
    """Write `scripts/<name>.py` for a model; `note` is told why the Hub is waited for.

    Raises WarmupError that says why not, and what would.
    """
    if not is_repo_id(repo_id):
        message = f"{plain(repo_id)} is not a model of the Hub: write MODEL=org/name"
        raise WarmupError(ErrorKind.USAGE, message)
    name = name or script_name(repo_id)
    if problem := name_problem(name):
        raise WarmupError(ErrorKind.USAGE, f"NAME={plain(name)}: {problem}")
    path = scripts / f"{name}.py"
    _check_free(path, force)
    source = hub_source(hub, note)
    with tempfile.TemporaryDirectory(prefix="hf-lambda-add-") as folder:
        facts = read_facts(source, repo_id, revision, Path(folder))
        chosen = choose_task(facts, task)
        expected = forecast(facts, chosen)
        _check_size(facts, expected)
        text = script_of(facts, chosen, expected)
        _check_script(text, name, Path(folder) / "scripts")
        notes = tuple(_notes(facts, chosen, expected, name))
        labels = tuple(plain(label, 60) for label in facts.labels) if has_labels(chosen) else ()
    _write(path, text, force)
    return AddReport(
        name=name,
        path=_shown(path),
        task=chosen,
        repo_id=repo_id,
        commit=facts.commit,
        engine="prepared" if expected.prepared else "torch",
        why=plain(expected.why, 400),
        image="slim" if expected.prepared else "full",
        memory_mb=expected.memory_mb,
        needs_mb=expected.needs_mb,
        download_bytes=expected.download_bytes,
        cold_read_bytes=expected.cold_bytes,
        usd_per_million=None if expected.million_usd is None else round(expected.million_usd, 2),
        warm_ms=None if expected.warm_ms is None else round(expected.warm_ms, 1),
        measured=expected.measured,
        usd_per_million_seconds=round(expected.second_usd, 2),
        licence=facts.card.licence and plain(facts.card.licence),
        gated=facts.card.gated and plain(facts.card.gated),
        hub=source.endpoint,
        labels=labels,
        notes=notes,
    )


def hub_source(hub: str | None, note: Callable[[str], None] = lambda text: None) -> HubSource:
    """To ask `hub`, else HF_ENDPOINT, else huggingface.co, as whoever runs the command."""
    # The client reads these when it is imported, so it is imported after.
    set_client_defaults(os.environ)
    from huggingface_hub import get_token

    from ..worker.hub import ON_THIS_MACHINE, HubSource

    token, asked = read_token(os.environ) or get_token(), hub or os.environ.get("HF_ENDPOINT")
    return HubSource(asked, token, note, patience_s=_HUB_PATIENCE_S, fixes=ON_THIS_MACHINE)


def remove(name: str, scripts: Path, kept: Path) -> RemoveReport:
    """Move `scripts/<name>.py` to the folder `kept`. Raises WarmupError where there is none."""
    path = scripts / f"{name}.py"
    if name_problem(name) or not path.is_file():
        there = ", ".join(sorted(each.stem for each in scripts.glob("*.py") if each.stem[0] != "_"))
        raise WarmupError(ErrorKind.USAGE, f"NAME={plain(name)}: there is no such script. These are: {there}")
    kept.mkdir(parents=True, exist_ok=True)
    number, copy = 1, kept / path.name
    while copy.exists():
        number, copy = number + 1, kept / f"{name}.{number + 1}.py"
    replace_text(copy, path.read_text(encoding="utf-8"))
    path.unlink()
    return RemoveReport(name, _shown(path), _shown(copy))


def script_name(repo_id: str) -> str:
    """A name for a script, out of the repository's."""
    name = re.sub(r"[^a-z0-9]+", "-", repo_id.rpartition("/")[2].lower()).strip("-")
    if name_problem(name[:NAME_LIMIT].strip("-")):
        name = f"model-{name}"
    return name[:NAME_LIMIT].strip("-")


def _check_free(path: Path, force: bool) -> None:
    key = _key(path.stem)
    for other in sorted(path.parent.glob("*.py")):
        if other.name == path.name and force:
            continue
        if _key(other.stem) == key:
            fix = (
                "write NAME=another"
                if other.name != path.name
                else "write NAME=another, or FORCE=1 (--force)"
            )
            raise WarmupError(ErrorKind.USAGE, f"{_shown(other)} is there already: {fix}")


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


def _check_size(facts: ModelFacts, expected: Forecast) -> None:
    if expected.needs_mb <= MOST_MEMORY_MB:
        return
    how = "as 8 bits" if expected.prepared else "in fp32, by torch"
    message = (
        f"{facts.repo_id} takes about {expected.needs_mb:,} MB {how}, and a Lambda function has at most "
        f"{MOST_MEMORY_MB:,}: name a smaller model"
    )
    if not expected.prepared:
        message += f", or one that is prepared ({expected.why})"
    raise WarmupError(ErrorKind.UNUSABLE, message)


def _check_script(text: str, name: str, folder: Path) -> None:
    """Raises ScriptError where deployment would."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    read_scripts(folder)


def _notes(facts: ModelFacts, task: str, expected: Forecast, name: str) -> list[str]:
    notes = []
    if expected.memory_mb > 3008:
        notes.append(f"pulumi config set --path endpoints.{name}.memoryMb {expected.memory_mb}")
    if facts.card.gated:
        notes.append("the warm-up needs a token: pulumi config set --secret hfToken hf_...; locally HF_TOKEN")
    if not any(file.path.endswith(".safetensors") for file in facts.files):
        notes.append("its weights are pickles: they are read as numbers alone, code in them is not run")
    if names_code(facts.folder):
        notes.append(
            "the repository brings code of its own. Where transformers does not know the model without it, "
            "the warm-up says so: docs/scripts.md, Code of repositories"
        )
    if has_labels(task) and facts.labels and all(label.startswith("LABEL_") for label in facts.labels):
        notes.append("its labels have no names: the card may say what LABEL_0 means")
    if others := other_translations(facts, task):
        notes.append(f"it was trained for other tasks too: TASK={' or TASK='.join(others)}")
    if base_of(task) == "feature-extraction":
        if not facts.is_embedder:
            notes.append("it answers with a vector for each token; pooling= in the script makes it one")
        elif reason := facts.embedding_problem:
            notes.append(f"without its own pooling, a vector for each token: {plain(reason)}")
    return notes


def _write(path: Path, text: str, force: bool) -> None:
    try:
        if force:
            replace_text(path, text)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        raise WarmupError(ErrorKind.USAGE, f"{_shown(path)} is there already: write NAME=another") from None
    except OSError as error:
        message = f"{_shown(path)} cannot be written: {error.strerror}"
        raise WarmupError(ErrorKind.USAGE, message) from error


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
