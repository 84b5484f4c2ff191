"""What an answer is held to: JSON of a schema, calls of tools; and how calls are read out of its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from .errors import BadRequest
from .records import Json
from .signature import json_type

STRUCTURE = ("response_format", "tool_choice", "parallel_tool_calls")
"""Parameters of a generation that say what its text has to be; `tools` alone are shown to the model."""
NAMED = '{"name": "'
"""What a call begins with, in every form."""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_TOOLS = 128


@dataclass(frozen=True)
class CallForm:
    """How a family of models writes calls: an object with the name and the arguments, and what is around it.

    arguments: the field that holds them. begin, end: around all calls. open, close: around each of them.
    between: what parts two calls; None: there is one. marks: what of the above may be a token of its own.
    """

    name: str
    arguments: str
    begin: str = ""
    open: str = ""
    close: str = ""
    between: str | None = None
    end: str = ""
    marks: tuple[str, ...] = ()
    template: tuple[str, ...] = ()
    """What chat templates of such models hold, all of it."""
    unlike: tuple[str, ...] = ()
    """What they do not hold: signs of another form."""

    @property
    def follows_text(self) -> bool:
        """Whether calls may come after text; else a text that begins as a call does is one."""
        return self.open.startswith(self.marks) if self.marks else False

    @property
    def lead(self) -> str:
        """Text of everything before the name of the first call."""
        return f"{self.begin}{self.open}{NAMED}"

    @property
    def to_arguments(self) -> str:
        """Text between the name and the arguments of a call."""
        return f'", "{self.arguments}": '


FORMS = (
    # Qwen 2.5 and 3, Hermes, and what was trained like them
    CallForm(
        name="hermes",
        arguments="arguments",
        open="<tool_call>\n",
        close="\n</tool_call>",
        between="\n",
        marks=("<tool_call>", "</tool_call>"),
        template=("<tool_call>", "arguments"),
        unlike=("<function=", "<arg_key>"),
    ),
    CallForm(
        name="mistral",
        arguments="arguments",
        begin="[TOOL_CALLS][",
        between=", ",
        end="]",
        marks=("[TOOL_CALLS]",),
        template=("[TOOL_CALLS]", '"arguments": '),
        unlike=("[ARGS]",),
    ),
    CallForm(name="llama", arguments="parameters", template=('"parameters": ',), unlike=("<function=",)),
)


@dataclass(frozen=True)
class Tool:
    """A function that the model may call. parameters: JSON Schema of the object that it takes."""

    name: str
    parameters: dict[str, Json]


@dataclass(frozen=True)
class Structure:
    """Text that is JSON of `schema` (None: any text), or calls of `tools`."""

    schema: Json = None
    tools: tuple[Tool, ...] = ()
    form: CallForm | None = None
    """How the model writes calls; None where there are no tools."""
    must_call: bool = False
    is_parallel: bool = True
    """Whether several calls may come at once."""


def structure_of(chosen: Mapping[str, Json], reads: Callable[[str], bool]) -> Structure | None:
    """What a call's parameters hold its text to; None: to nothing.

    reads: whether the model's chat template holds a text. Raises BadRequest, also where the model calls
    tools in no way that is known here.
    """
    schema = _schema_of(chosen.get("response_format"))
    choice = chosen.get("tool_choice")
    if choice is None or choice == "none":
        return None if schema is None else Structure(schema)
    if not chosen.get("tools"):
        raise BadRequest("tool_choice", "tools beside it", "none")
    tools = tools_of(chosen["tools"])
    if not reads("tools"):
        raise BadRequest("tools", "none: the model's chat template shows no tools", f"{len(tools)}")
    form = next((form for form in FORMS if _is_form(form, reads)), None)
    if form is None:
        known = ", ".join(form.name for form in FORMS)
        expected = f"a model whose chat template writes calls as one of {known}"
        raise BadRequest("tools", expected, "a template that writes them in another way")
    if schema is not None and choice == "auto" and not form.follows_text:
        expected = "none beside tools: this model's calls are JSON themselves"
        raise BadRequest("response_format", expected, "one")
    named = _choice_of(choice, tools)
    is_parallel = chosen.get("parallel_tool_calls") is not False and named is None
    return Structure(
        schema=schema,
        tools=tools if named is None else (named,),
        form=form,
        must_call=choice != "auto",
        is_parallel=is_parallel and form.between is not None,
    )


def tools_of(given: Json) -> tuple[Tool, ...]:
    """Raises BadRequest where they are none of OpenAI's functions."""
    if not isinstance(given, list) or len(given) > _MOST_TOOLS:
        raise BadRequest("tools", f"an array of at most {_MOST_TOOLS} functions", json_type(given))
    tools = [_tool_of(each, f"tools[{place}]") for place, each in enumerate(given)]
    names = [tool.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadRequest("tools", "functions of different names", f"{twice} twice")
    return tuple(tools)


def _tool_of(given: Json, where: str) -> Tool:
    expected = 'an object {"type": "function", "function": {"name": string, "parameters": object}}'
    if not isinstance(given, dict) or not isinstance(given.get("function"), dict):
        raise BadRequest(where, expected, json_type(given))
    if given.get("type", "function") != "function":
        raise BadRequest(f"{where}.type", "function", repr(given["type"]))
    function = given["function"]
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadRequest(f"{where}.function.name", "1 to 64 letters, digits, _ and -", repr(name))
    parameters = function.get("parameters")
    if parameters is None:
        parameters = {"properties": {}, "additionalProperties": False}
    kind = parameters.get("type", "object") if isinstance(parameters, dict) else None
    if not isinstance(parameters, dict) or kind != "object":
        given = json_type(parameters) if kind is None else f"one of the type {kind!r}"
        raise BadRequest(f"{where}.function.parameters", "a JSON Schema of an object", given)
    return Tool(name, {"type": "object", **parameters})


def _choice_of(choice: Json, tools: tuple[Tool, ...]) -> Tool | None:
    """The one tool that has to be called; None: any of them."""
    if choice in ("auto", "required"):
        return None
    expected = 'none, auto, required or {"type": "function", "function": {"name": ...}}'
    if not isinstance(choice, dict) or choice.get("type") != "function":
        kind = choice.get("type") if isinstance(choice, dict) else choice
        raise BadRequest("tool_choice", expected, repr(kind))
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    for tool in tools:
        if tool.name == name:
            return tool
    raise BadRequest("tool_choice", f"one of {', '.join(tool.name for tool in tools)}", repr(name))


def _schema_of(given: Json) -> Json:
    """The schema of a `response_format`; None where any text is an answer."""
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        raise BadRequest("response_format", "a type of text, json_object or json_schema", repr(kind))
    described = given.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        raise BadRequest("response_format.json_schema.schema", "a JSON Schema", json_type(schema))
    return schema


def _is_form(form: CallForm, reads: Callable[[str], bool]) -> bool:
    return all(map(reads, form.template)) and not any(map(reads, form.unlike))


# --- reading calls ---


@dataclass(frozen=True)
class Said:
    """Text that belongs to no call."""

    text: str


@dataclass(frozen=True)
class Called:
    """A call begins."""

    index: int
    name: str


@dataclass(frozen=True)
class Argued:
    """A piece of the JSON that the call `index` passes."""

    index: int
    text: str


_Step: TypeAlias = Callable[[list[Said | Called | Argued]], bool]
"""What is looked for next, appending what it finds; whether there may be more in the text that is held."""


class CallReader:
    """Parts text that was held to a `Structure` with tools into what is said and what is called."""

    def __init__(self, form: CallForm) -> None:
        # A mark that is a special token is not in the text at all.
        unmarked = form
        for mark in form.marks:
            unmarked = replace(
                unmarked, begin=unmarked.begin.replace(mark, ""), open=unmarked.open.replace(mark, "")
            )
        leads = dict.fromkeys((form.lead, unmarked.lead))
        self._anywhere = [form.lead] if form.follows_text else []
        self._at_start = list(leads)
        self._to_arguments = form.to_arguments
        self._step: _Step = self._begin
        self._held = ""
        self._index = -1
        self._depth = 0
        self._in_text = self._is_escaped = False

    def feed(self, piece: str) -> list[Said | Called | Argued]:
        self._held += piece
        found: list[Said | Called | Argued] = []
        while self._step(found):
            pass
        return found

    def end(self) -> list[Said | Called | Argued]:
        """What was held back, where no text follows: a call whose name is cut is none."""
        held, self._held = self._held, ""
        return [Said(held)] if held and self._step in (self._begin, self._say) else []

    def _begin(self, found: list[Said | Called | Argued]) -> bool:
        for lead in self._at_start:
            if self._held.startswith(lead):
                return self._take(len(lead), self._name)
        if any(lead.startswith(self._held) for lead in self._at_start):
            return False
        self._step = self._say
        return True

    def _say(self, found: list[Said | Called | Argued]) -> bool:
        """Show text up to where a call begins, and none of what may become one."""
        for lead in self._anywhere:
            if (at := self._held.find(lead)) >= 0:
                if at:
                    found.append(Said(self._held[:at]))
                return self._take(at + len(lead), self._name)
        hold = max((overlap(self._held, lead) for lead in self._anywhere), default=0)
        shown, self._held = self._held[: len(self._held) - hold], self._held[len(self._held) - hold :]
        if shown:
            found.append(Said(shown))
        return False

    def _name(self, found: list[Said | Called | Argued]) -> bool:
        at = self._held.find(self._to_arguments)
        if at < 0:
            return False
        self._index += 1
        found.append(Called(self._index, self._held[:at]))
        return self._take(at + len(self._to_arguments), self._arguments)

    def _arguments(self, found: list[Said | Called | Argued]) -> bool:
        """Hand out the object, up to the brace that closes it."""
        end = next(
            (at + 1 for at, character in enumerate(self._held) if self._closes(character)), len(self._held)
        )
        if end:
            found.append(Argued(self._index, self._held[:end]))
        is_whole = end > 0 and self._depth == 0 and not self._in_text
        return self._take(end, self._between if is_whole else self._arguments) and is_whole

    def _closes(self, character: str) -> bool:
        if self._in_text:
            ends = character == '"' and not self._is_escaped
            self._is_escaped = character == "\\" and not self._is_escaped
            self._in_text = not ends
            return False
        self._in_text = character == '"'
        self._depth += (character in "{[") - (character in "}]")
        return self._depth == 0

    def _between(self, found: list[Said | Called | Argued]) -> bool:
        at = self._held.find(NAMED)
        return at >= 0 and self._take(at + len(NAMED), self._name)

    def _take(self, count: int, step: _Step) -> bool:
        self._held, self._step = self._held[count:], step
        return True


def overlap(text: str, following: str) -> int:
    """Characters at the end of `text` that `following` begins with, but not all of it."""
    return next(
        (
            size
            for size in range(min(len(following) - 1, len(text)), 0, -1)
            if text.endswith(following[:size])
        ),
        0,
    )
