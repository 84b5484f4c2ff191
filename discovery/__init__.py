"""Reads the scripts of a folder, without importing them: name, models, example event, image."""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from discovery import ours, plain
from discovery.example import example
from discovery.source import Declared, Skip, Source, where

__all__ = ["Declared", "Script", "ScriptError", "read_scripts"]

NAME_LIMIT = 40
"""Characters of a script's name: a Lambda function's has 64, with project and stack before it."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TAKEN = {
    *sys.stdlib_module_names,
    *(
        "hf_lambda",
        "discovery",
        "warmup",
        "awslambdaric",
        "boto3",
        "botocore",
        "numpy",
        "onnx",
        "onnxruntime",
        "tokenizers",
        "PIL",
        "soundfile",
    ),
    *("torch", "transformers", "huggingface_hub", "safetensors", "sentencepiece"),
}


class ScriptError(Exception):
    """Everything that is wrong with the scripts, one `file:line: what, what to write` per line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Script:
    """One file, one Lambda. `example` is an event to ask it with."""

    name: str
    path: Path
    pipelines: tuple[Declared, ...]
    example: dict[str, Any]

    @property
    def image(self) -> Literal["slim", "full"]:
        """slim where every model must be prepared; "auto" may fall back to torch, so it needs full."""
        prepared = all(not declared.plain and declared.engine == "onnx" for declared in self.pipelines)
        return "slim" if self.pipelines and prepared else "full"


def read_scripts(folder: Path) -> tuple[Script, ...]:
    """The scripts `folder/*.py`, by name; `_name.py` and packages are shared code.

    Raises ScriptError with all problems of all scripts.
    """
    paths = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    problems = _name_problems(paths)
    scripts = []
    for path in paths:
        script, found = _read(path)
        problems += found
        if script:
            scripts.append(script)
    if problems:
        raise ScriptError(list(dict.fromkeys(problems)))  # two scripts may share a module with a mistake
    return tuple(scripts)


def _read(path: Path) -> tuple[Script | None, list[str]]:
    try:
        source = Source(path, _parsed(path))
    except SyntaxError as error:
        return None, [_syntax_problem(path, error)]
    pipelines = _pipelines([source, *_shared(source)])
    handler, is_endpoint = _handler(source)
    event = example(source, handler, is_endpoint, pipelines)
    return Script(path.stem, path, pipelines, event), source.problems


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except ValueError as error:  # null bytes
        raise SyntaxError(str(error)) from error


def _syntax_problem(path: Path, error: SyntaxError) -> str:
    return f"{where(path, error.lineno or 1)}: {error.msg}"


def _shared(script: Source) -> list[Source]:
    """Modules of the folder that `script` imports, and those that these import."""
    folder, found = script.path.parent, [script]
    for source in found:  # grows while it is read
        known = {one.path for one in found}
        paths = {_module_path(folder, name) for name in source.imports.modules} - known - {None}
        for path in sorted(path for path in paths if path):
            try:
                found.append(Source(path, _parsed(path), script.problems))
            except SyntaxError as error:
                script.problems.append(_syntax_problem(path, error))
    return found[1:]


def _module_path(folder: Path, name: str) -> Path | None:
    if name.partition(".")[0] in _TAKEN:
        return None
    path = folder.joinpath(*name.split("."))
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _pipelines(sources: list[Source]) -> tuple[Declared, ...]:
    found: list[Declared] = []
    for source in sources:
        calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
        for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
            with contextlib.suppress(Skip):
                found += _declared(source, call)
    return plain.merged(found)


def _declared(source: Source, call: ast.Call) -> list[Declared]:
    kind, loader_task = source.imports.pipeline_kind(call), source.imports.loader_task(call)
    if kind == "ours":
        return [ours.read(source, call)]
    if kind == "theirs":
        return plain.read_pipeline(source, call)
    return plain.read_loader(source, call, loader_task) if loader_task is not None else []


def _handler(source: Source) -> tuple[ast.FunctionDef | None, bool]:
    """The function `handler` (None: assigned or imported) and whether `@endpoint` decorates it."""
    for node in source.tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "handler":
            source.problem(node.lineno, "Lambda does not await: write `def handler`, without async")
            return None, False
        if isinstance(node, ast.FunctionDef) and node.name == "handler":
            is_endpoint = any(source.imports.is_endpoint(decorator) for decorator in node.decorator_list)
            if not node.decorator_list and not _takes_event_and_context(node.args):
                source.problem(
                    node.lineno, "handler takes no (event, context): write `@endpoint` in the line above it"
                )
            return node, is_endpoint
    if source.constants.node("handler") is None and not source.imports.defines("handler"):
        named = [node for node in source.tree.body if getattr(node, "name", "") == "lambda_handler"]
        if named:
            source.problem(named[0].lineno, "no handler: call lambda_handler `handler`")
        else:
            source.problem(1, "no handler: write `@endpoint` and `def handler(text: str): ...`")
    return None, False


def _takes_event_and_context(arguments: ast.arguments) -> bool:
    if arguments.vararg:
        return True
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional - len(arguments.defaults) <= 2 <= positional


def _name_problems(paths: list[Path]) -> list[str]:
    problems = []
    seen: dict[str, Path] = {}
    for path in paths:
        name = path.stem
        if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
            text = f"the name must be a letter, then letters, digits, - or _, at most {NAME_LIMIT} in all"
            problems.append(f"{where(path, 1)}: {text}")
        if name in _TAKEN:
            problems.append(f"{where(path, 1)}: the module {name} already exists: give the file another name")
        key = name.lower().replace("_", "-")
        if key in seen:
            problems.append(f"{where(path, 1)}: too like {seen[key].name}: give the file another name")
        seen.setdefault(key, path)
    return problems
