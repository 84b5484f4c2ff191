"""Reads the scripts of a folder, without importing them: name, models, example event, image."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeGuard

from discovery import custom_handler, hf_lambda_pipeline, other_loads, transformers_calls
from discovery.example import example
from discovery.fields import fields
from discovery.module import Declared, ParsedModule, Skip, where
from discovery.names import (
    GUIDE,
    OWN_PACKAGES,
    beyond_slim,
    hidden_module,
    name_problem,
    own_packages,
)
from hf_lambda.records import Json

__all__ = ["Declared", "Script", "ScriptError", "read_scripts"]

_FORMER_NAME = "serving"


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
    example: dict[str, Json]
    streams: bool = False
    """Whether its handler can answer piece by piece: it yields, or speaks OpenAI's API."""
    speaks_openai: bool = False
    speaks_tei: bool = False
    """Whether its handler speaks text-embeddings-inference's API."""
    checks_keys: bool = False
    """Whether its handler is one of ours, which ask for an API key where the endpoint has some."""
    unseen: tuple[str, ...] = ()
    """What may load a model that nobody can read here, a `folder/file:line: what` each."""
    beyond_slim: tuple[str, ...] = ()
    """Modules that it imports and the slim image does not have."""
    is_guided: bool = False
    """Whether it generates text that a package in requirements.txt can hold to JSON and calls."""
    takes_raw_http: bool = False
    """Whether its handler gets HTTP requests as Lambda hands them on, and reads no body of these."""
    fields: Mapping[str, Json] = field(default_factory=dict, compare=False)
    """JSON Schema of the events that its handler takes."""
    summary: str = ""
    """First line of what it says of itself."""
    shared: tuple[Path, ...] = field(default=(), compare=False)
    """Modules of the folder that it imports, and those that these import."""

    @property
    def image(self) -> Literal["slim", "full"]:
        """slim where it has what is imported and every model must be prepared: "auto" may need torch."""
        prepared = all(not declared.plain and declared.engine == "onnx" for declared in self.pipelines)
        needs_more = self.beyond_slim or self.is_guided
        return "slim" if self.pipelines and prepared and not needs_more else "full"


def read_scripts(folder: Path) -> tuple[Script, ...]:
    """The scripts `folder/*.py`, by name; `_name.py` and packages are shared code.

    Raises ScriptError with all problems of all scripts.
    """
    paths = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    problems = _name_problems(folder, paths)
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
        module = ParsedModule(path, _parsed(path))
    except SyntaxError as error:
        return None, [_syntax_problem(path, error)]
    modules = [module, *_shared(module)]
    if former := [each for each in modules if _uses_former_name(each)]:
        return None, former[0].problems  # what was imported is not known: all else would only confuse
    custom = custom_handler.read(module)
    pipelines = _pipelines(modules)
    if custom is not None:
        pipelines = custom.declared(pipelines)
    for each in modules:
        other_loads.note_unseen(each)
    unseen = tuple(text for each in modules for text in each.unseen)
    handler, is_endpoint = (None, False) if custom else _handler(module)
    speaks_openai = handler is None and module.imports.is_openai(module.constants.node("handler"))
    speaks_tei = handler is None and module.imports.is_tei(module.constants.node("handler"))
    speaks: Literal["openai", "tei"] | None = "openai" if speaks_openai else "tei" if speaks_tei else None
    event = example(
        module, handler, is_endpoint, pipelines, speaks="inputs" if custom is not None else speaks
    )
    answers = handler if is_endpoint else _made_an_endpoint(module)
    streams = speaks_openai or (answers is not None and _yields(answers))
    imported = [name for each in modules for name in sorted(each.imports.modules)]
    own = {name.partition(".")[0] for name in imported if _module_path(path.parent, name)}
    raw = handler is not None and not is_endpoint and not any(map(_reads_body, modules))
    script = Script(
        path.stem,
        path,
        pipelines,
        event,
        streams=streams,
        speaks_openai=speaks_openai,
        speaks_tei=speaks_tei,
        checks_keys=is_endpoint or speaks is not None or custom is not None or _calls_endpoint(module),
        unseen=unseen,
        takes_raw_http=raw,
        beyond_slim=beyond_slim(imported, own),
        is_guided=any(each.task == "text-generation" and not each.plain for each in pipelines)
        and GUIDE in own_packages(path.parent),
        fields=fields(module, handler, is_endpoint, event, speaks=speaks),
        summary=(ast.get_docstring(module.tree) or "").partition("\n")[0],
        shared=tuple(each.path for each in modules[1:]),
    )
    return script, module.problems


def _calls_endpoint(module: ParsedModule) -> bool:
    """Whether the module says `handler = endpoint(...)`."""
    assigned = module.constants.node("handler")
    return isinstance(assigned, ast.Call) and module.imports.is_endpoint(assigned)


def _made_an_endpoint(module: ParsedModule) -> ast.FunctionDef | None:
    """The function of the module that `handler = endpoint(...)` names."""
    assigned = module.constants.node("handler")
    if not isinstance(assigned, ast.Call) or not _calls_endpoint(module) or len(assigned.args) != 1:
        return None
    name = getattr(assigned.args[0], "id", None)
    functions = [node for node in module.tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return functions[-1] if functions else None


def _reads_body(module: ParsedModule) -> bool:
    """Whether `...["body"]`, `.get("body")` or `.pop("body")` is read anywhere."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value="body"), ctx=ast.Load()):
                return True
            case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value="body"), *_]):
                return True
    return False


def _yields(function: ast.FunctionDef) -> bool:
    """Whether it is a generator: a `yield` of its own, not of a function inside it."""
    inner = [node for node in ast.walk(function) if node is not function and isinstance(node, _SCOPES)]
    of_inner = {id(node) for scope in inner for node in ast.walk(scope)}
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom) and id(node) not in of_inner
        for node in ast.walk(function)
    )


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp, ast.ClassDef)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except ValueError as error:  # null bytes
        raise SyntaxError(str(error)) from error


def _syntax_problem(path: Path, error: SyntaxError) -> str:
    return f"{where(path, error.lineno or 1)}: {error.msg}"


def _shared(script: ParsedModule) -> list[ParsedModule]:
    """Modules of the folder that `script` imports, and those that these import."""
    folder, found = script.path.parent, [script]
    for module in found:  # grows while it is read
        known = {one.path for one in found}
        paths = {_module_path(folder, name) for name in module.imports.modules} - known - {None}
        for path in sorted(path for path in paths if path):
            try:
                found.append(ParsedModule(path, _parsed(path), script.problems))
            except SyntaxError as error:
                script.problems.append(_syntax_problem(path, error))
    return found[1:]


def _uses_former_name(module: ParsedModule) -> bool:
    """Notes every import of the library by its former name, unless a module beside has that name."""
    if _module_path(module.path.parent, _FORMER_NAME):
        return False
    found = [node for node in ast.walk(module.tree) if _imports_former_name(node)]
    for node in found:
        line = re.sub(rf"\b{_FORMER_NAME}\b", "hf_lambda", ast.unparse(node), count=1)
        module.problem(node.lineno, f"the library is called hf_lambda: write `{line}`")
    return bool(found)


def _imports_former_name(node: ast.AST) -> TypeGuard[ast.Import | ast.ImportFrom]:
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").partition(".")[0] == _FORMER_NAME
    return isinstance(node, ast.Import) and any(
        alias.name.partition(".")[0] == _FORMER_NAME for alias in node.names
    )


def _module_path(folder: Path, name: str) -> Path | None:
    if hidden_module(name.partition(".")[0]):
        return None
    path = folder.joinpath(*name.split("."))
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _pipelines(sources: list[ParsedModule]) -> tuple[Declared, ...]:
    found: list[Declared] = []
    for module in sources:
        calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
        for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
            with contextlib.suppress(Skip):
                found += _declared(module, call)
    return transformers_calls.merged(found)


def _declared(module: ParsedModule, call: ast.Call) -> list[Declared]:
    kind, loader_task = module.imports.pipeline_kind(call), module.imports.loader_task(call)
    if kind == "hf_lambda":
        return hf_lambda_pipeline.read(module, call)
    if kind == "transformers":
        return transformers_calls.read_pipeline(module, call)
    if loader_task is not None:
        return transformers_calls.read_loader(module, call, loader_task)
    for read in (other_loads.read_download, other_loads.read_sentence_transformer):
        if (found := read(module, call)) is not None:
            return found
    return []


def _handler(module: ParsedModule) -> tuple[ast.FunctionDef | None, bool]:
    """The function `handler` (None: assigned or imported) and whether `@endpoint` decorates it."""
    for node in module.tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "handler":
            module.problem(node.lineno, "Lambda does not await: write `def handler`, without async")
            return None, False
        if isinstance(node, ast.FunctionDef) and node.name == "handler":
            is_endpoint = any(module.imports.is_endpoint(decorator) for decorator in node.decorator_list)
            if not node.decorator_list and not _takes_event_and_context(node.args):
                module.problem(
                    node.lineno, "handler takes no (event, context): write `@endpoint` in the line above it"
                )
            return node, is_endpoint
    if module.constants.node("handler") is None and not module.imports.defines("handler"):
        named = [node for node in module.tree.body if getattr(node, "name", "") == "lambda_handler"]
        if named:
            module.problem(named[0].lineno, "no handler: call lambda_handler `handler`")
        else:
            module.problem(1, "no handler: write `@endpoint` and `def handler(text: str): ...`")
    return None, False


def _takes_event_and_context(arguments: ast.arguments) -> bool:
    if arguments.vararg:
        return True
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional - len(arguments.defaults) <= 2 <= positional


def _name_problems(folder: Path, paths: list[Path]) -> list[str]:
    problems = []
    seen: dict[str, Path] = {}
    for path in paths:
        if (problem := name_problem(path.stem)) is not None:
            problems.append(f"{where(path, 1)}: {problem}")
        key = path.stem.lower().replace("_", "-")
        if key in seen:
            problems.append(f"{where(path, 1)}: too like {seen[key].name}: give the file another name")
        seen.setdefault(key, path)
    shared = [*folder.glob("_*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]
    if folder.resolve() == Path(__file__).resolve().parents[1]:  # an image, which has all in one folder
        shared = [path for path in shared if path.name not in OWN_PACKAGES]
    return problems + [
        f"{where(path, 1)}: {hidden_module(path.stem)}" for path in sorted(shared) if hidden_module(path.stem)
    ]
