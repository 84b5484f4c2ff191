"""`make dev`: the stack of `make up`, which follows what is edited in inference/ until Ctrl-C."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from discovery import Script, ScriptError
from hf_lambda.repo_id import is_bucket_folder, is_model_folder
from local.program.declare import ProgramError
from local.program.functions import Program
from local.stack import Say, StackError
from warmup.protocol.errors import WarmupError
from warmup.protocol.models import ModelRequest, models_of_scripts
from warmup.worker.folder import folder_of

_PASSING = re.compile(r"^(__pycache__|.*(~|\.sw.|\.py[co]|\.tmp))$")
"""What editors and Python write beside a file."""


@dataclass(frozen=True)
class Asked:
    """What an endpoint answered; `problem` in words where that is an error."""

    answer: str
    problem: str | None = None


class FollowingStack(Protocol):
    """A stack that is up, and can be changed."""

    inference: Path

    def scripts(self) -> tuple[Script, ...]:
        """Raises ScriptError."""

    def declare(self) -> Program:
        """What the program declares of the scripts as they are now. Raises ProgramError."""

    def update(self, program: Program | None, changed: Collection[str], problems: Sequence[str]) -> None:
        """Serve what `program` declares (None: as before), `changed` endpoints anew, and show `problems`."""

    def install(self) -> None:
        """What inference/requirements.txt names. Raises StackError."""

    def warm(self, scripts: Sequence[Script], repo_ids: Sequence[str]) -> Sequence[str]:
        """Warm these models of `scripts` and ask the endpoints that use them; returns what failed.

        Raises StackError and WarmupError, and ScriptError where a script got a mistake meanwhile.
        """

    def ask(self, script: Script) -> Asked:
        """Send an endpoint its example. Raises WarmupError."""


@dataclass(frozen=True)
class _Served:
    """What the stack serves now."""

    scripts: tuple[Script, ...]
    program: Program
    models: tuple[ModelRequest, ...]

    @classmethod
    def of(cls, scripts: tuple[Script, ...], program: Program) -> _Served:
        return cls(scripts, program, models_of_scripts(scripts))


class Follower:
    """Takes changes of files to the stack: what they concern starts anew, what is new is warmed."""

    def __init__(self, stack: FollowingStack, program: Program, say: Say) -> None:
        """program: what the stack was started with."""
        self._stack, self._say = stack, say
        self._served = _Served.of(stack.scripts(), program)
        self._pending: set[Path] = set()
        self._failed: dict[str, str] = {}
        """Endpoints that do not answer their example, and why."""
        self._cold: dict[str, str] = {}
        """Models that could not be warmed, and why; tried again with the next change."""

    def follow(self, changes: Iterable[Collection[Path]]) -> None:
        """Until `changes` ends."""
        self._stack.update(None, (), ())
        self._say("watch: inference/, until Ctrl-C")
        for paths in changes:
            if concerned := {path for path in paths if is_watched(self._stack.inference, path)}:
                self.changed(concerned)

    def changed(self, paths: Collection[Path]) -> None:
        """Files that were written, added or removed."""
        self._pending |= {*paths}  # what came with a mistake is looked at once it is mended
        names = ", ".join(sorted(path.relative_to(self._stack.inference).as_posix() for path in paths))
        self._say(f"changed: {names}")
        try:
            if self._stack.inference / "requirements.txt" in self._pending:
                self._stack.install()
            scripts = self._stack.scripts()
            # Functions are declared by what is read of scripts, and most edits change nothing of that.
            same = scripts == self._served.scripts
            now = _Served.of(scripts, self._served.program if same else self._stack.declare())
        except (ScriptError, ProgramError, StackError, WarmupError) as error:
            self._say(str(error))
            self._stack.update(None, (), str(error).splitlines())
            return
        changed = set(_changed_endpoints(self._served, now, self._pending, self._stack.inference))
        cold = [*_cold(self._served, now, self._pending, self._stack.inference)]
        gone = {each.name for each in self._served.scripts} - {each.name for each in now.scripts}
        self._served, self._pending = now, set()
        for each in gone:
            self._failed.pop(each, None)
            self._say(f"{each}: gone")
        self._stack.update(now.program, changed, self._problems())
        self._warm(now, cold)
        self._ask([script for script in now.scripts if script.name in changed])
        self._stack.update(None, (), self._problems())

    def _warm(self, now: _Served, cold: Sequence[str]) -> None:
        known = {model.repo_id for model in now.models}
        wanted = [repo_id for repo_id in dict.fromkeys([*cold, *self._cold]) if repo_id in known]
        self._cold = {}
        for repo_id in wanted:
            self._say(f"warming {repo_id} ...")
            try:
                if failures := self._stack.warm(now.scripts, [repo_id]):
                    self._cold[repo_id] = "\n".join(failures)
            except (ScriptError, StackError, WarmupError) as error:
                self._cold[repo_id] = str(error)
            if repo_id in self._cold:
                self._say(self._cold[repo_id])

    def _ask(self, scripts: Iterable[Script]) -> None:
        for script in scripts:
            name = script.name
            try:
                asked = self._stack.ask(script)
            except WarmupError as error:
                asked = Asked("", str(error))
            self._failed.pop(name, None)
            if asked.problem:
                self._failed[name] = f"{name}: {asked.problem}"
            self._say(self._failed.get(name) or f"{name}: {_short(asked.answer)}")

    def _problems(self) -> list[str]:
        return [*self._cold.values(), *self._failed.values()]


def is_watched(inference: Path, path: Path) -> bool:
    """Whether a change of `path` can be one of a script: hidden files and what passes by are none."""
    if not path.is_relative_to(inference):
        return False
    parts = path.relative_to(inference).parts
    return bool(parts) and not any(each.startswith(".") or _PASSING.match(each) for each in parts)


def watched(inference: Path) -> Iterator[set[Path]]:
    """Changes in the folder as they come, together what comes together, and now and then none.

    It watches from the first `next` on, which takes a moment; Ctrl-C raises KeyboardInterrupt in it.
    """
    from watchfiles import watch

    def concerns(_: object, path: str) -> bool:
        return is_watched(inference, Path(path)) and not Path(path).is_dir()

    for changes in watch(inference, watch_filter=concerns, rust_timeout=250, yield_on_timeout=True):
        yield {Path(path) for _, path in changes}


def _changed_endpoints(before: _Served, now: _Served, paths: set[Path], inference: Path) -> Iterator[str]:
    """Endpoints that are new, or whose function, code or folder of a model is another."""
    functions = {each.name: each for each in before.program.functions if each.is_endpoint}
    known = {path for script in now.scripts for path in (script.path, *script.shared)}
    of_everybody = [
        path for path in paths - known if path.suffix != ".py" and not _is_of_a_model(path, now, inference)
    ]
    scripts = {script.name: script for script in now.scripts}
    for function in now.program.functions:
        script = scripts.get(function.name)
        if not function.is_endpoint or script is None:
            continue
        code = {script.path, *script.shared}
        folders = [folder_of(inference, each) for each in _folders(script)]
        in_folder = any(path.is_relative_to(folder) for path in paths for folder in folders)
        if of_everybody or in_folder or code & paths or functions.get(function.name) != function:
            yield function.name


def _cold(before: _Served, now: _Served, paths: set[Path], inference: Path) -> Iterator[str]:
    """Models that are new or asked for otherwise, and folders whose content changed."""
    for model in now.models:
        folder = folder_of(inference, model.repo_id) if is_model_folder(model.repo_id) else None
        if model not in before.models or (folder and any(path.is_relative_to(folder) for path in paths)):
            yield model.repo_id


def _is_of_a_model(path: Path, now: _Served, inference: Path) -> bool:
    return any(
        path.is_relative_to(folder_of(inference, each)) for script in now.scripts for each in _folders(script)
    )


def _folders(script: Script) -> list[str]:
    """Models of the script that lie beside it."""
    models = {each.model for each in script.pipelines}
    return sorted(each for each in models if is_model_folder(each) and not is_bucket_folder(each))


def _short(answer: str) -> str:
    return answer if len(answer) <= 200 else f"{answer[:200]}..."
