"""Reads the models of plain scripts: `transformers.pipeline` and `from_pretrained`."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from hf_lambda import tasks

from .imports import ANY_TASK
from .module import Declared, ParsedModule


def read_pipeline(module: ParsedModule, call: ast.Call) -> list[Declared]:
    """The model, and the tokenizer where it is another repository's."""
    given = module.arguments(call)
    task = _task(module, call, given)
    revision = module.literal("revision", given.get("revision"))
    model = given.get("model")
    found = []
    loaded = _loading_call(module, model)
    if loaded is not None:
        found += read_loader(module, loaded, task)
    elif (name := module.literal("model", model)) is None:
        found.append(_default(module, call, task, revision))
    else:
        found += _declared(module, call, task, name, revision, given)
    if "tokenizer" in given and _loading_call(module, given["tokenizer"]) is None:
        tokenizer = module.literal("tokenizer", given["tokenizer"])
        found += _declared(module, call, ANY_TASK, tokenizer, None, {}) if tokenizer else []
    return found


def read_loader(module: ParsedModule, call: ast.Call, task: str) -> list[Declared]:
    """`SomeClass.from_pretrained("org/name", revision=...)`."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    node = call.args[0] if call.args else keywords.get("pretrained_model_name_or_path")
    if node is None:
        raise module.refuse(call.lineno, 'from_pretrained names no model: write from_pretrained("org/name")')
    model = module.literal("model", node)
    revision = module.literal("revision", keywords.get("revision"))
    return _declared(module, call, task, model, revision, keywords)


def merged(found: list[Declared]) -> tuple[Declared, ...]:
    """Each once; a tokenizer or bare model only where no other declaration has the same repository."""
    once = list(dict.fromkeys(found))
    telling = {(d.model, d.revision) for d in once if not _is_bare(d)}
    return tuple(d for d in once if not _is_bare(d) or (d.model, d.revision) not in telling)


def _is_bare(declared: Declared) -> bool:
    is_any = declared.plain and declared.task == ANY_TASK
    return is_any and declared.files is None and not declared.remote_code


def _task(module: ParsedModule, call: ast.Call, given: dict[str, ast.expr]) -> str:
    task = module.literal("task", given.get("task"))
    if not isinstance(task, str):
        # Without a task transformers asks the Hub for it, which an offline function cannot.
        raise module.refuse(call.lineno, 'name the task: pipeline("text-classification", ...)')
    if tasks.is_dropped(task):
        raise module.refuse(
            call.lineno, f'transformers 5 has no "{task}" pipeline: write `from hf_lambda import pipeline`'
        )
    return tasks.ALIASES.get(task, task)


def _default(module: ParsedModule, call: ast.Call, task: str, revision: str | None) -> Declared:
    if task not in tasks.DEFAULTS:
        raise module.refuse(call.lineno, f'name the model of "{task}": write model="org/name"')
    model, commit = tasks.DEFAULTS[task]
    # transformers asks for its default by 7 characters, and offline finds it under that name alone.
    return Declared(task, model, revision or commit[:7], "torch", "auto", call.lineno, True)


def _declared(
    module: ParsedModule,
    call: ast.Call,
    task: str,
    model: object,
    revision: str | None,
    given: Mapping[str, ast.expr],
) -> list[Declared]:
    if isinstance(model, str) and model.startswith(("/", ".")):
        return []  # a folder that the image brings: nothing to warm
    module.check_model(call.lineno, model, revision)
    consent = module.consent(call.lineno, given, revision, "torch")
    return [Declared(task, str(model), revision, "torch", "auto", call.lineno, True, **consent)]


def _loading_call(module: ParsedModule, node: ast.expr | None) -> ast.Call | None:
    """The `from_pretrained` call that `node` is, or that its name was assigned from."""
    if isinstance(node, ast.Name):
        node = module.assigned(node.id)
    if isinstance(node, ast.Call) and module.imports.loader_task(node) is not None:
        return node
    return None
