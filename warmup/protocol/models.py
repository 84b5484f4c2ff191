"""What is to be warmed: a model at a revision, with every use that scripts make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from discovery import Declared, Script, read_scripts
from discovery.imports import ANY_TASK
from hf_lambda.manifest import requested_of
from hf_lambda.repo_id import is_model_folder, is_repo_id

from .errors import ErrorKind, WarmupError
from .records import OMIT_DEFAULT, Json, Key, Record, WrongShape, shown

RepoId: TypeAlias = Annotated[str, Key("model")]
"""`org/name`, a folder beside the scripts, `./models/mine`, or `s3://bucket/prefix`; JSON: `model`."""


@dataclass(frozen=True)
class Use:
    """One pipeline over a model. `samples`: the script's own inputs for the check of prepared models.

    own_tokenizer: False where a plain script loads the tokenizer from another repository. memory_mb: of the
    function that serves it. max_context: tokens that a language model holds. files: patterns of what a
    script needs as files, left_out: of what it does not; None: what transformers needs. adapter: a repository
    that is merged into the model. remote_code: whether it runs the repository's code, code_revision: the
    commit of that code where another repository has it.
    """

    task: str
    engine: str = "auto"
    precision: str = "auto"
    samples: tuple[Json, ...] | None = None
    own_tokenizer: bool = True
    memory_mb: int | None = None
    max_context: int | None = None
    files: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    adapter: str | None = None
    adapter_revision: str | None = None
    remote_code: bool = False
    code_revision: str | None = None

    @property
    def requested(self) -> str:
        """What the manifest calls it, beside the head."""
        return requested_of(self.precision, self.adapter, self.adapter_revision)


@dataclass(frozen=True)
class ModelRequest:
    """A model that the warm-up is asked for. `revision` None: the default branch."""

    repo_id: str
    revision: str | None
    uses: tuple[Use, ...]

    @property
    def key(self) -> str:
        """Its name in progress and reports."""
        return f"{self.repo_id}@{self.revision or 'main'}"

    @property
    def runs_code(self) -> bool:
        """Whether a script lets the repository's code run."""
        return any(use.remote_code for use in self.uses)


@dataclass(frozen=True)
class ModelEntry(Record):
    """One use of one model, as an event lists it."""

    strict = True

    repo_id: RepoId
    task: str
    revision: str | None = None
    engine: str | None = None
    precision: str | None = None
    samples: tuple[Json, ...] | None = None
    own_tokenizer: Annotated[bool, OMIT_DEFAULT] = True
    memory_mb: Annotated[int | None, OMIT_DEFAULT] = None
    max_context: Annotated[int | None, OMIT_DEFAULT] = None
    files: Annotated[tuple[str, ...] | None, OMIT_DEFAULT] = None
    left_out: Annotated[tuple[str, ...], OMIT_DEFAULT] = ()
    adapter: Annotated[str | None, OMIT_DEFAULT] = None
    adapter_revision: Annotated[str | None, OMIT_DEFAULT] = None
    remote_code: Annotated[bool, OMIT_DEFAULT] = False
    code_revision: Annotated[str | None, OMIT_DEFAULT] = None


def entries_of(models: Iterable[ModelRequest]) -> tuple[ModelEntry, ...]:
    """The `models` of an event."""
    return tuple(
        ModelEntry(
            model.repo_id,
            use.task,
            model.revision,
            use.engine,
            use.precision,
            use.samples,
            use.own_tokenizer,
            use.memory_mb,
            use.max_context,
            use.files,
            use.left_out,
            use.adapter,
            use.adapter_revision,
            use.remote_code,
            use.code_revision,
        )
        for model in models
        for use in model.uses
    )


def models_of_json(raw: Json) -> tuple[ModelRequest, ...]:
    """The models of an event's `models`. Raises WarmupError that shows a valid entry."""
    if not isinstance(raw, list):
        raise WarmupError(ErrorKind.USAGE, f"models: expected a list, got {shown(raw)}. {_VALID}")
    return _grouped(_entry(each) for each in raw)


def models_of_scripts(
    scripts: Iterable[Script], memory_mb: Mapping[str, int] | None = None
) -> tuple[ModelRequest, ...]:
    """Every model that `scripts` declare, once per revision. memory_mb: of functions, by script."""
    return _grouped(
        ModelEntry(
            pipeline.model,
            pipeline.task,
            pipeline.revision,
            # A plain script loads with transformers by itself: nothing could use a prepared model. Nor is
            # a model prepared of what a repository's own code makes of it.
            "torch"
            if pipeline.plain or pipeline.files is not None or pipeline.remote_code
            else pipeline.engine,
            pipeline.precision,
            tuple(pipeline.samples) if pipeline.samples else None,
            own_tokenizer=not _loads_another_tokenizer(script, pipeline),
            memory_mb=(memory_mb or {}).get(script.name),
            max_context=pipeline.max_context,
            files=pipeline.files,
            left_out=pipeline.left_out,
            adapter=pipeline.adapter,
            adapter_revision=pipeline.adapter_revision,
            remote_code=pipeline.remote_code,
            code_revision=pipeline.code_revision,
        )
        for script in scripts
        for pipeline in script.pipelines
    )


def read_models(folder: Path) -> tuple[ModelRequest, ...]:
    """Every model that the scripts in `folder` declare."""
    return models_of_scripts(read_scripts(folder))


_VALID = 'Write for instance {"model": "org/name", "revision": null, "task": "text-classification"}'


def _entry(raw: Json) -> ModelEntry:
    try:
        entry = ModelEntry.from_json(raw)
    except WrongShape as wrong:
        raise WarmupError(
            ErrorKind.USAGE, f"models: {shown(raw)} is not a model. {_VALID} ({wrong})"
        ) from wrong
    if is_model_folder(entry.repo_id) and entry.revision is None:
        return entry
    if not is_repo_id(entry.repo_id):
        raise WarmupError(ErrorKind.USAGE, f"models: {shown(raw)} is not a model. {_VALID}")
    if entry.revision is not None and not is_revision(entry.revision):
        message = (
            f"models: revision {shown(entry.revision)} of {entry.repo_id} is not a branch, tag or commit"
        )
        raise WarmupError(ErrorKind.USAGE, f'{message}. Write for instance "main"')
    return entry


def is_revision(text: str) -> bool:
    """Whether git would take `text` as the name of a branch or a tag: it becomes a path in the cache."""
    parts = text.split("/")
    well_formed = all(
        part and not part.startswith((".", "-")) and not part.endswith(".lock") for part in parts
    )
    odd = re.search(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{", text)
    return well_formed and odd is None and not text.endswith(".") and len(text.encode()) <= 200


def _loads_another_tokenizer(script: Script, pipeline: Declared) -> bool:
    """Discovery tells a tokenizer only as another repository that a plain script loads something from."""
    others = (other for other in script.pipelines if other.model != pipeline.model and other.files is None)
    return pipeline.plain and any(other.plain and other.task == ANY_TASK for other in others)


def _grouped(entries: Iterable[ModelEntry]) -> tuple[ModelRequest, ...]:
    uses: dict[tuple[str, str | None], list[Use]] = {}
    for entry in entries:
        # "main" spelt out is the same manifest as none given.
        revision = None if entry.revision == "main" else entry.revision
        use = Use(
            entry.task,
            entry.engine or "auto",
            entry.precision or "auto",
            entry.samples or None,
            entry.own_tokenizer,
            entry.memory_mb,
            entry.max_context,
            entry.files,
            entry.left_out,
            entry.adapter,
            entry.adapter_revision,
            entry.remote_code,
            entry.code_revision,
        )
        known = uses.setdefault((entry.repo_id, revision), [])
        if use not in known:
            known.append(use)
    return tuple(ModelRequest(repo_id, revision, tuple(found)) for (repo_id, revision), found in uses.items())
