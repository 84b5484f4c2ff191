"""What a pipeline is called with and what it gives back, in the shapes of transformers' pipelines."""

from __future__ import annotations

from typing import Any

from . import tasks
from .errors import BadRequest
from .events import json_type

_WRAPPED = ("text-classification", "summarization", "translation", "text2text-generation", "text-generation")


class Single(list[Any]):
    """The answer to one input, in the list that transformers puts it in; `@endpoint` takes it out again."""


def given_inputs(task: str, inputs: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
    """The one input or list of inputs, from the ways in which transformers' pipelines take them."""
    base = tasks.base_of(task)
    if base == "zero-shot-classification" and len(inputs) == 2:
        parameters["candidate_labels"] = inputs[1]
        inputs = inputs[:1]
    if base == "question-answering" and not inputs:
        return _questions(parameters.pop("question", None), parameters.pop("context", None))
    if len(inputs) != 1:
        raise BadRequest(None, "one input or a list of inputs", f"{len(inputs)} positional arguments")
    return list(inputs[0]) if isinstance(inputs[0], tuple) else inputs[0]


def check_input(task: str, item: Any, position: int | None) -> None:
    where = None if position is None else f"[{position}]"
    base = tasks.base_of(task)
    if base == "question-answering":
        for name in ("question", "context"):
            if not isinstance(item, dict) or not isinstance(item.get(name), str):
                expected = 'an object {"question": string, "context": string}'
                raise BadRequest(where or name, expected, json_type(item))
            if not item[name].strip():
                raise BadRequest(where or name, "text", f"an empty {name}")
    elif base == "text-classification" and isinstance(item, dict):
        if not isinstance(item.get("text"), str) or set(item) > {"text", "text_pair"}:
            raise BadRequest(where, 'an object {"text": string, "text_pair": string}', "another object")
    elif not isinstance(item, str) and not (base == "text-generation" and isinstance(item, list | dict)):
        raise BadRequest(where, "string", json_type(item))


def alone(task: str, result: Any, given: Any) -> Any:
    """One input's answer as transformers gives it; in a Single where that is a list of one."""
    if tasks.base_of(task) in _WRAPPED and isinstance(given, str) and isinstance(result, dict):
        return Single([result])
    return in_list(task, result)


def in_list(task: str, result: Any) -> Any:
    is_one = isinstance(result, list) and len(result) == 1
    return Single(result) if task == "text-generation" and is_one else result


def _questions(question: Any, context: Any) -> Any:
    """Like the pipeline of transformers 4: one context serves a list of questions, or each has its own."""
    if not isinstance(question, list):
        return {"question": question, "context": context}
    contexts = context if isinstance(context, list) else [context] * len(question)
    if len(contexts) != len(question):
        raise BadRequest("context", f"one context or {len(question)}", f"{len(contexts)}")
    return [{"question": q, "context": c} for q, c in zip(question, contexts, strict=True)]
