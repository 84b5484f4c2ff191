"""Reads a call of `hf_lambda.pipeline`."""

from __future__ import annotations

import ast
import json
from pathlib import PurePath

from hf_lambda import tasks
from hf_lambda.parameters import ENGINES, adapter_problem, default_problem, option_problem, precisions_of
from hf_lambda.records import Json

from .literals import NotLiteralError
from .module import Declared, ParsedModule

_READ = ("task", "model", "revision", "engine", "precision", "samples", "adapter", "adapter_revision")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def read(module: ParsedModule, call: ast.Call) -> list[Declared]:
    """The model, and the adapter that is merged into it.

    Raises Skip where the call cannot be read; the problem is then noted in `module`.
    """
    given = module.arguments(call)
    values = {name: module.literal(name, given.get(name)) for name in _READ}
    if values["task"] is None:
        raise module.refuse(call.lineno, 'name the task: pipeline("text-classification", ...)')
    module.check_task(call.lineno, values["task"])
    task = tasks.canonical(values["task"])
    _check_options(module, task, given)
    for name, choices in (("engine", ENGINES), ("precision", precisions_of(task))):
        if values[name] is not None and values[name] not in choices:
            allowed = ", ".join(f'"{choice}"' for choice in choices)
            raise module.refuse(given[name].lineno, f"`{name}={values[name]!r}`: write one of {allowed}")
    model, revision = values["model"], values["revision"]
    if model is None:
        model, revision = _default(module, call.lineno, task, revision)
    module.check_model_or_folder(call.lineno, model, revision)
    declared = Declared(
        task,
        model,
        revision,
        values["engine"] or "auto",
        values["precision"] or "auto",
        call.lineno,
        samples=_samples(module, call.lineno, values["samples"]),
        max_context=_max_context(module, given.get("max_context")),
        adapter=values["adapter"],
        adapter_revision=values["adapter_revision"],
        **module.consent(call.lineno, given, revision, values["engine"]),
    )
    return [declared, *_adapter(module, call.lineno, declared)]


def _adapter(module: ParsedModule, line: int, declared: Declared) -> list[Declared]:
    """The adapter's own repository, of which two files are needed."""
    if problem := adapter_problem(declared.adapter, declared.adapter_revision, declared.engine):
        raise module.refuse(line, problem)
    if declared.adapter is None:
        return []
    revision = declared.adapter_revision
    module.check_model(line, declared.adapter, revision)
    return [
        Declared(declared.task, declared.adapter, revision, declared.engine, line=line, files=ADAPTER_FILES)
    ]


def _check_options(module: ParsedModule, task: str, given: dict[str, ast.expr]) -> None:
    problems = []
    for name, node in given.items():
        try:
            value = module.constants.value(node)
        except NotLiteralError:
            problems.append(option_problem(task, name, ast.unparse(node)))
        else:
            problems.append(option_problem(task, name, value) or default_problem(task, name, value))
    if any(problems):
        line = min(node.lineno for node in given.values())
        raise module.refuse(line, "; ".join(filter(None, problems)))


def _max_context(module: ParsedModule, node: ast.expr | None) -> int | None:
    """None where only a run would tell: it serves to say how much memory is needed."""
    try:
        value = module.constants.value(node) if node else None
    except NotLiteralError:
        return None
    return value if isinstance(value, int) else None


def _default(module: ParsedModule, line: int, task: str, revision: str | None) -> tuple[str, str]:
    try:
        model, commit = tasks.default_model(task)
    except ValueError as problem:
        raise module.refuse(line, str(problem)) from None
    return model, revision or commit


def _samples(module: ParsedModule, line: int, name: Json) -> tuple[Json, ...] | None:
    """The inputs in the file that `samples=` names, relative to the script; one in JSON a line."""
    if name is None:
        return None
    path = PurePath(str(name))
    if path.suffix != ".jsonl" or path.is_absolute() or ".." in path.parts:
        # Images hold the scripts and .jsonl files beside them, and are read there once more.
        text = f"`samples={name!r}`: write the name of a .jsonl file beside the script or in a folder there"
        raise module.refuse(line, text)
    try:
        lines = (module.path.parent / path).read_text().split("\n")  # not splitlines: a text may hold others
        samples = tuple(json.loads(each) for each in lines if each.strip())
    except (OSError, ValueError) as problem:
        text = f"`samples={name!r}` is not a readable file of one input in JSON a line: {problem}"
        raise module.refuse(line, text) from None
    if not samples:
        raise module.refuse(line, f"`samples={name!r}` holds no inputs: write one in JSON a line")
    return samples
