"""An event to try a script with: its own EXAMPLE, or one made up from what the handler takes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Literal

from hf_lambda import tasks
from hf_lambda.media.inputs import KINDS
from hf_lambda.records import Json

from .example_files import picture, sound
from .literals import NotLiteralError
from .module import Declared, ParsedModule

_TEXT = "I love this! It works wonderfully."
_ARTICLE = (
    "The city opened its new library on Monday. More than two thousand people came on the first day. "
    "The building has five floors, a garden on the roof and rooms where groups can meet."
)
_QUESTION = "What is the capital of France?"
_TEXT_OF_TASK = {
    "summarization": _ARTICLE,
    "token-classification": "My name is Sarah and I live in London.",
    "translation": "How are you?",
    "text-generation": "Once upon a time",
    "text2text-generation": "translate English to French: How are you?",
    "zero-shot-classification": "The new phone has a great camera.",
}
_BY_NAME = {
    "article": _ARTICLE,
    "document": _ARTICLE,
    "context": "My name is Sarah and I live in London.",
    "question": "Where do I live?",
    "query": "Where does Sarah live?",
    "documents": ["The new phone has a great camera.", "My name is Sarah and I live in London."],
    "candidate_labels": ["technology", "sports", "politics"],
    "labels": ["technology", "sports", "politics"],
}
_LABELS_OF_PICTURE = ["a red disc", "a blue square", "a green triangle"]
"""The picture is the first of them."""
_FILES = {"Image": picture, "Audio": sound, "bytes": picture}
_BY_TYPE: dict[str, Json] = {"int": 1, "float": 1.0, "bool": True, "dict": {}}


def example(
    module: ParsedModule,
    handler: ast.FunctionDef | None,
    is_endpoint: bool,
    pipelines: tuple[Declared, ...],
    *,
    speaks: Literal["openai", "tei", "inputs"] | None = None,
) -> dict[str, Json]:
    """The module constant EXAMPLE, else the required parameters or the `event["..."]` keys of `handler`."""
    node = module.constants.node("EXAMPLE")
    if node is not None:
        return _own(module, node)
    tasks_of_all = [declared.task for declared in pipelines]
    if speaks == "openai":
        if "automatic-speech-recognition" in tasks_of_all:
            return {"file": sound()}
        is_chat = "text-generation" in tasks_of_all
        return {"messages": [{"role": "user", "content": _QUESTION}]} if is_chat else {"input": _TEXT}
    if speaks == "tei":
        if "feature-extraction" in tasks_of_all:
            return {"inputs": _TEXT}
        return {"query": _BY_NAME["query"], "texts": _BY_NAME["documents"]}
    if speaks == "inputs":
        return _inputs(next(iter(pipelines), None))
    if handler is None:
        return {}
    task, model = (pipelines[0].task, pipelines[0].model) if pipelines else ("", "")
    if not is_endpoint:
        event = {key: _value(key, "", task, model) for key in _event_keys(handler)}
        return _with_file(event, {}, task)
    event = {
        parameter.arg: _value(parameter.arg, _annotation(parameter), task, model)
        for parameter in _required(handler.args)
    }
    arguments = (*handler.args.args, *handler.args.kwonlyargs)
    return _with_file(event, {each.arg: _annotation(each) for each in arguments}, task)


def _inputs(declared: Declared | None) -> dict[str, Json]:
    """A request as other servers have it: "inputs", and "parameters" where the task needs some."""
    task, model = (declared.task, declared.model) if declared else ("", "")
    if task == "question-answering":
        return {"inputs": {name: _BY_NAME[name] for name in ("question", "context")}}
    if task in KINDS:
        return {"inputs": sound() if KINDS[task] == "audio" else picture()}
    event: dict[str, Json] = {"inputs": _text(task, model)}
    if task == "zero-shot-classification":
        event["parameters"] = {"candidate_labels": _BY_NAME["candidate_labels"]}
    return event


def _own(module: ParsedModule, node: ast.expr) -> dict[str, Json]:
    try:
        value = module.constants.value(node)
    except NotLiteralError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        module.problem(node.lineno, 'EXAMPLE is not an event: write EXAMPLE = {"text": "..."}')
        return {}
    return value


def _required(arguments: ast.arguments) -> list[ast.arg]:
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = positional[: len(positional) - len(arguments.defaults)]
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [*without_default, *(argument for argument, default in keyword if default is None)]


def _with_file(event: dict[str, Json], parameters: Mapping[str, str], task: str) -> dict[str, Json]:
    """`event` with a file in it, where the task hears or sees and none of its values is one yet.

    In a parameter that has a default, or in the first that says nothing of its type: the pipeline takes
    base64 too. parameters: annotations by name.
    """
    kind = KINDS.get(task)
    if kind not in ("image", "audio") or any(_file(parameters.get(name, "")) for name in event):
        return event
    for name, annotation in parameters.items():
        if made := _file(annotation):
            return {**event, name: made}
    for name in event:
        if name not in _BY_NAME and parameters.get(name, "") in _ANY_TYPE:
            return {**event, name: sound() if kind == "audio" else picture()}
    return event


_ANY_TYPE = ("", "str", "object", "Any", "typing.Any")


def _file(annotation: str) -> Json:
    """A file for a type that takes one, in a list where it takes them so; None for other types."""
    try:
        return _file_of(ast.parse(annotation, mode="eval").body)
    except SyntaxError:
        return None


def _file_of(kind: ast.expr) -> Json:
    match kind:
        case ast.Constant(value=str(text)):
            return _file(text)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _file_of(left) or _file_of(right)
        case ast.Subscript(value=ast.Name(id=outer) | ast.Attribute(attr=outer), slice=inside):
            made = next(filter(None, map(_file_of, getattr(inside, "elts", [inside]))), None)
            return [made] if made is not None and outer in ("list", "List") else made
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _FILES[name]() if name in _FILES else None
    return None


def _event_keys(handler: ast.FunctionDef) -> list[str]:
    """Keys that a plain handler reads with `event["key"]` or `event.get("key")`, in the order of the module.

    One read with a default, `event.get("key", 5)`, is left out: the handler does without it.
    """
    event = handler.args.args[0].arg if handler.args.args else "event"
    found: dict[str, None] = {}
    for node in ast.walk(handler):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == event:
                found.setdefault(key)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get"),
                args=[ast.Constant(value=str(key))],
                keywords=[],
            ) if name == event:
                found.setdefault(key)
    return list(found)


def _annotation(parameter: ast.arg) -> str:
    return ast.unparse(parameter.annotation) if parameter.annotation else ""


def _value(name: str, annotation: str, task: str, model: str) -> Json:
    if task == "zero-shot-image-classification" and name in ("candidate_labels", "labels"):
        return _LABELS_OF_PICTURE
    if name in _BY_NAME:
        return _BY_NAME[name]
    kinds = [kind.strip() for kind in annotation.split("|")]
    if made := _file(annotation):
        return made
    if annotation and "str" not in kinds:
        if kinds[0] == "list[str]":
            return [_text(task, model)]
        for kind in kinds:
            if kind.partition("[")[0] in _BY_TYPE:
                return _BY_TYPE[kind.partition("[")[0]]
    return _text(task, model)


def _text(task: str, model: str) -> str:
    if task == "fill-mask":
        # RoBERTa's relatives write their mask so; the file that tells is not read before the warm-up.
        mask = "<mask>" if any(name in model.lower() for name in ("roberta", "bart", "xlm")) else "[MASK]"
        return f"The capital of France is {mask}."
    return _TEXT_OF_TASK.get("translation" if tasks.languages(task) else task, _TEXT)
