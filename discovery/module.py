"""One script as a syntax tree, with the problems found in it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_lambda import tasks
from hf_lambda.parameters import POSITIONAL
from hf_lambda.records import Json
from hf_lambda.remote_code import consent_problem
from hf_lambda.repo_id import S3, is_model_folder, is_repo_id

from .imports import Imports
from .literals import Constants, NotLiteralError


@dataclass(frozen=True)
class Declared:
    """One model that a script needs. `revision` None: main."""

    task: str
    model: str
    revision: str | None
    engine: str = "auto"
    precision: str = "auto"
    line: int = field(default=0, compare=False)
    plain: bool = False
    """Loaded by transformers itself, by repo id, not through `hf_lambda.pipeline`."""
    samples: tuple[Json, ...] | None = field(default=None, compare=False)
    """The user's own inputs for the agreement check of prepared models."""
    max_context: int | None = field(default=None, compare=False)
    """Tokens that a language model holds, where the script says so as a literal."""
    files: tuple[str, ...] | None = None
    """Patterns of the files that are downloaded as such; None: those that transformers needs."""
    left_out: tuple[str, ...] = ()
    """Patterns of files that are not."""
    adapter: str | None = None
    """A LoRA adapter that is merged into the model; its files are declared beside it."""
    adapter_revision: str | None = None
    remote_code: bool = False
    """Whether code of the repository is run (`trust_remote_code=True`)."""
    code_revision: str | None = None
    """Commit of that code where it is in another repository."""


class Skip(Exception):  # noqa: N818 - control flow: the problem is noted, the declaration is left out
    """A declaration that cannot be read; its problem is already noted."""


class ParsedModule:
    """Notes every problem as `folder/file:line: what, what to write`, so that all are told at once."""

    def __init__(self, path: Path, tree: ast.Module, problems: list[str] | None = None) -> None:
        self.path, self.tree = path, tree
        self.constants, self.imports = Constants(tree), Imports(tree)
        self.problems = [] if problems is None else problems
        self.unseen: list[str] = []
        """What may load a model that cannot be read here, a `folder/file:line: what` each."""
        self.fetched: set[int] = set()
        """Ids of calls that load from a folder that is fetched anyway."""

    def note_unseen(self, line: int, text: str) -> None:
        self.unseen.append(f"{where(self.path, line)}: {text}")

    def problem(self, line: int, text: str) -> None:
        self.problems.append(f"{where(self.path, line)}: {text}")

    def refuse(self, line: int, text: str) -> Skip:
        """`raise module.refuse(...)`: notes the problem and leaves the declaration out."""
        self.problem(line, text)
        return Skip(text)

    def arguments(self, call: ast.Call) -> dict[str, ast.expr]:
        """Arguments of a `pipeline` call by name, in transformers' order where they are positional."""
        if any(isinstance(argument, ast.Starred) for argument in call.args) or any(
            keyword.arg is None for keyword in call.keywords
        ):
            raise self.refuse(call.lineno, "`*` and `**` hide the arguments of pipeline(...): write them out")
        given = dict(zip(POSITIONAL, call.args, strict=False))
        return given | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}

    def literal(self, name: str, node: ast.expr | None) -> Json:
        """The value of argument `name`; None where it is not given."""
        if node is None:
            return None
        try:
            return self.constants.value(node)
        except NotLiteralError:
            text = (
                f"`{name}={ast.unparse(node)}` is not known before the script runs: write {_EXAMPLES[name]}"
            )
            raise self.refuse(node.lineno, f"{text}, or a constant of the module") from None

    def assigned(self, name: str) -> ast.expr | None:
        """What `name` is last assigned from, anywhere in the script."""
        values = [
            node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
        ]
        return values[-1] if values else None

    def check_model(self, line: int, model: Json, revision: Json) -> None:
        """Raises Skip where these cannot be a repository of the Hub and a revision of it."""
        if not is_repo_id(model):
            raise self.refuse(line, f'`model={model!r}` is not a Hub repository: write model="org/name"')
        if revision is not None and (not isinstance(revision, str) or not revision.strip()):
            raise self.refuse(line, f"`revision={revision!r}` is not one: write {_EXAMPLES['revision']}")

    def check_model_or_folder(self, line: int, model: Json, revision: Json) -> None:
        """Like `check_model`, for what may also be a folder beside the scripts, or in a bucket."""
        if isinstance(model, str) and model.startswith((".", "/", S3)):
            if not is_model_folder(model):
                fix = 'write model="org/name", or "./models/mine" for a folder beside the script'
                if model.startswith(S3):
                    fix = (
                        'write model="s3://bucket/prefix", of at most 150 letters, digits, ".", "_" and "-", '
                        'without "--" or a slash at the end'
                    )
                raise self.refuse(line, f"`model={model!r}` is not a Hub repository: {fix}")
            if revision is not None:
                text = "a folder has none: what is in it says which model it is. Leave it out"
                raise self.refuse(line, f"`revision={revision!r}`: {text}")
            return
        self.check_model(line, model, revision)

    def consent(
        self, line: int, given: Mapping[str, ast.expr], revision: Json, engine: Json
    ) -> dict[str, Json]:
        """`remote_code` and `code_revision` of a Declared. Raises Skip where code may not run like this."""
        trust, code = (self.literal(name, given.get(name)) for name in ("trust_remote_code", "code_revision"))
        if problem := consent_problem(trust, revision, code, engine):
            raise self.refuse(line, problem)
        return {"remote_code": bool(trust), "code_revision": code}

    def check_task(self, line: int, task: Json) -> None:
        """Raises Skip where `hf_lambda.pipeline` does not have the task."""
        try:
            tasks.canonical(str(task))
        except ValueError as unknown:
            raise self.refuse(line, str(unknown)) from None


def where(path: Path, line: int) -> str:
    return f"{path.parent.name}/{path.name}:{line}"


_EXAMPLES = {
    "task": '"text-classification"',
    "model": 'model="org/name"',
    "tokenizer": 'tokenizer="org/name"',
    "revision": 'revision="main" or a commit',
    "engine": 'engine="auto"',
    "precision": 'precision="auto"',
    "samples": 'samples="samples.jsonl"',
    "adapter": 'adapter="org/name"',
    "adapter_revision": 'adapter_revision="main" or a commit',
    "trust_remote_code": "trust_remote_code=True",
    "code_revision": 'code_revision="<commit>"',
}
