"""What a pipeline is called with and what it gives back, in the shapes of transformers' pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import tasks
from .errors import BadRequest
from .media import inputs as media
from .records import Json
from .signature import json_type

if TYPE_CHECKING:
    from .engines import Input

_WRAPPED = ("text-classification", "summarization", "translation", "text2text-generation", "text-generation")


class Single(list[Json]):
    """The answer to one input, in the list that transformers puts it in; `@endpoint` takes it out again."""


def read_inputs(
    task: str, given: tuple[Input, ...], parameters: dict[str, Json], *, is_split: bool = False
) -> tuple[list[Input], bool]:
    """The inputs, and whether they came as a list, from the ways in which transformers' pipelines take them.

    Takes out of `parameters` what is an input there. `is_split`: one text is a list of words.
    Raises BadRequest.
    """
    base = tasks.base_of(task)
    if base in media.KINDS:
        return media.read(base, given, parameters)
    if base == "zero-shot-classification" and len(given) == 2:
        parameters["candidate_labels"] = given[1]
        given = given[:1]
    if base == "question-answering" and not given:
        given = (_questions(parameters.pop("question", None), parameters.pop("context", None)),)
    if base == "text-ranking" and (len(given) != 1 or "documents" in parameters):
        given = (_ranking(given, parameters),)
    if len(given) != 1:
        raise BadRequest(None, "one input or a list of inputs", f"{len(given)} positional arguments")
    items = list(given[0]) if isinstance(given[0], tuple) else given[0]
    is_list = isinstance(items, list) and not _is_one(base, items, is_split)
    items = items if is_list else [items]
    for position, item in enumerate(items):
        _check(base, item, f"[{position}]" if is_list else None, is_split)
    return items, is_list


def answer_to_one(task: str, result: Json, given: Input) -> Json:
    """One input's answer as transformers gives it; in a Single where that is a list of one."""
    if tasks.base_of(task) in _WRAPPED and isinstance(given, str) and isinstance(result, dict):
        return Single([result])
    if tasks.base_of(task) == "token-classification" and isinstance(given, list):
        return Single([result])  # the words of one text
    return answer_in_list(task, result)


def answer_in_list(task: str, result: Json) -> Json:
    is_one = isinstance(result, list) and len(result) == 1
    return Single(result) if task in ("text-generation", "image-to-text") and is_one else result


def _is_one(base: str, items: list[Input], is_split: bool) -> bool:
    """Whether the list is one input: a chat, or the words of one text."""
    if base == "text-generation":
        return bool(items) and all(isinstance(item, dict) and "role" in item for item in items)
    return is_split and all(isinstance(item, str) for item in items)


def _check(base: str, item: Input, where: str | None, is_split: bool) -> None:
    if base == "question-answering":
        _check_question(item, where)
    elif base == "text-ranking":
        _check_ranking(item, where)
    elif base == "text-classification" and isinstance(item, dict):
        if not isinstance(item.get("text"), str) or set(item) - {"text", "text_pair"}:
            raise BadRequest(where, 'an object {"text": string, "text_pair": string}', "another object")
    elif is_split:
        if not isinstance(item, list) or not all(isinstance(word, str) for word in item):
            raise BadRequest(where, "array of words", json_type(item))
    elif base == "text-generation" and isinstance(item, list):
        check_messages(item)
    elif base == "zero-shot-classification" and item == "":
        raise BadRequest(where, "text", "an empty one")
    elif not isinstance(item, str):
        raise BadRequest(where, "string", json_type(item))


def check_messages(messages: list[Json]) -> None:
    """Raises BadRequest where they are no chat: objects with a role and a content, or tool calls without."""
    if not messages:
        raise BadRequest("messages", "at least one message", "an empty array")
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            expected = 'an object {"role": string, "content": string}'
            raise BadRequest(f"messages[{place}]", expected, json_type(message))
        if not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{place}].role", "string", json_type(message.get("role")))
        content = message.get("content")
        if not isinstance(content, str | list) and not (content is None and message.get("tool_calls")):
            raise BadRequest(f"messages[{place}].content", "string", json_type(content))


def joined_parts(messages: Sequence[Json], templates: Iterable[str]) -> list[Json]:
    """`messages` with contents that come as parts of text as one text each, where no chat template takes
    parts: it would fail, or write them as Python does. Raises BadRequest for parts that are no text."""
    if any(_TAKES_PARTS.search(source) for source in templates):
        return list(messages)
    made = []
    for place, message in enumerate(messages):
        parts = message.get("content") if isinstance(message, dict) else None
        if not isinstance(parts, list):
            made.append(message)
            continue
        texts = []
        for at, part in enumerate(parts):
            text = part.get("text") if isinstance(part, dict) else part
            kind = part.get("type", "text") if isinstance(part, dict) else "text"
            if kind != "text" or not isinstance(text, str):
                where = f"messages[{place}].content[{at}]"
                raise BadRequest(where, 'a part {"type": "text", "text": string}', f"one of type {kind}")
            texts.append(text)
        made.append({**message, "content": "\n".join(texts)})
    return made


_TAKES_PARTS = re.compile(r"""\.text\b|\[\s*['"]text['"]\s*\]|get\(\s*['"]text['"]""")


def _check_question(item: Json, where: str | None) -> None:
    for name in ("question", "context"):
        if not isinstance(item, dict) or not isinstance(item.get(name), str):
            expected = 'an object {"question": string, "context": string}'
            raise BadRequest(where or name, expected, json_type(item))
        if not item[name].strip():
            raise BadRequest(where or name, "text", f"an empty {name}")


def _ranking(given: tuple[Input, ...], parameters: dict[str, Json]) -> Json:
    """`rank(query, documents)`, or both by their names."""
    names = ("query", "documents")[len(given) :]
    both = [*given, *(parameters.pop(name, None) for name in names)]
    if len(both) != 2:
        raise BadRequest(None, "a query and its documents", f"{len(both)} positional arguments")
    return {"query": both[0], "documents": both[1]}


def _check_ranking(item: Json, where: str | None) -> None:
    at = f"{where}." if where else ""
    if not isinstance(item, dict) or set(item) != {"query", "documents"}:
        expected = 'an object {"query": string, "documents": array}'
        raise BadRequest(where, expected, "another object" if isinstance(item, dict) else json_type(item))
    if not isinstance(item["query"], str):
        raise BadRequest(f"{at}query", "string", json_type(item["query"]))
    if not item["query"].strip():
        raise BadRequest(f"{at}query", "text", "an empty query")
    if not isinstance(item["documents"], list):
        raise BadRequest(f"{at}documents", "array of texts", json_type(item["documents"]))
    for place, document in enumerate(item["documents"]):
        text = document.get("text") if isinstance(document, dict) else document
        if not isinstance(text, str):
            given = "an object without" if isinstance(document, dict) else json_type(document)
            raise BadRequest(f"{at}documents[{place}]", 'string or an object with a "text"', given)


def _questions(question: Json, context: Json) -> Json:
    """Like the pipeline of transformers 4: one context serves a list of questions, or each has its own."""
    if not isinstance(question, list):
        return {"question": question, "context": context}
    contexts = context if isinstance(context, list) else [context] * len(question)
    if len(contexts) != len(question):
        raise BadRequest("context", f"one context or {len(question)}", f"{len(contexts)}")
    return [{"question": q, "context": c} for q, c in zip(question, contexts, strict=True)]
