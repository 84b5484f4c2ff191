"""Chat templates: the sandboxed Jinja environment that transformers renders them in, rebuilt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from ...errors import BadRequest, Unprocessable
from ...inputs import check_messages, joined_parts
from ...records import Json

if TYPE_CHECKING:
    import jinja2
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

_MARK = "CONTINUE_FINAL_MESSAGE_TAG"
_CONTINUE = f"{_MARK} "
_OWN = frozenset({"messages", "tools", "documents", "add_generation_prompt"})
"""Variables that a rendering sets itself."""
_REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names of a message's reasoning; templates read the first one, some the second."""


class Template:
    """`source` rendered with the model's special tokens. Compiled when first needed."""

    def __init__(self, source: str | Mapping[str, str] | None, tokens: Mapping[str, Json]) -> None:
        """source: a template, several by name ("default", "tool_use"), or None where the model has none."""
        self._sources = {"default": source} if isinstance(source, str) else dict(source or {})
        self._tokens = dict(tokens)
        self._compiled: dict[str, jinja2.Template] = {}

    def render(
        self,
        messages: Sequence[Json],
        *,
        tools: Sequence[Json] | None = None,
        documents: Sequence[Json] | None = None,
        variables: Mapping[str, Json] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The prompt. A chat that ends with the assistant's message is continued, every other one answered;
        without `add_generation_prompt` the answer's beginning is left out.

        Raises BadRequest for messages that are none, Unprocessable for what the template refuses.
        """
        check_messages(list(messages))
        source = self._source(tools)
        chat = [_message(message) for message in joined_parts(messages, [source])]
        final = chat[-1].get("content") if chat[-1]["role"] == "assistant" else None
        if isinstance(final, list):
            _tag_last_text(chat[-1])
        elif final is not None:
            chat[-1]["content"] = final + _CONTINUE
        from jinja2.exceptions import TemplateError

        if own := sorted(_OWN & (variables or {}).keys()):
            expected = "variables of the template other than those that the request says in another way"
            raise BadRequest("chat_template_kwargs", expected, ", ".join(own))
        given = {**self._tokens, **(variables or {})}
        try:
            rendered: str = self._template(source).render(
                messages=chat,
                tools=tools,
                documents=documents,
                add_generation_prompt=add_generation_prompt and final is None,
                **given,
            )
        except TemplateError as error:
            raise Unprocessable(
                "messages", f"the model's chat template refuses them: {error.message}"
            ) from error
        except Exception as error:
            # A template is a program: what it cannot do with a field has any type.
            reason = str(error) or type(error).__name__
            raise Unprocessable(
                "messages", f"the model's chat template cannot take them: {reason}"
            ) from error
        if final is None:
            return rendered
        if rendered.count(_MARK) > 1 + json.dumps(messages).count(_MARK):
            reason = "the model's chat template writes the assistant's last message twice"
            raise Unprocessable("messages", f"{reason}: it cannot be continued")
        return _cut(rendered)

    def reads(self, name: str) -> bool:
        """Whether any of the templates mentions `name`, for instance tools or enable_thinking."""
        return any(name in source for source in self._sources.values())

    def _source(self, tools: Sequence[Json] | None) -> str:
        name = "tool_use" if tools and "tool_use" in self._sources else "default"
        if name not in self._sources:
            reason = "the model has no chat template: give a text instead of messages"
            raise Unprocessable("messages", reason)
        return self._sources[name]

    def _template(self, source: str) -> jinja2.Template:
        if source not in self._compiled:
            self._compiled[source] = _environment().from_string(source)
        return self._compiled[source]


def _message(message: Mapping[str, Json]) -> dict[str, Json]:
    """A copy, without what is null: templates handle a missing field, and print an empty one as None."""
    content = message.get("content")
    kept = {name: value for name, value in message.items() if value is not None}
    if isinstance(content, list):
        kept["content"] = [dict(part) if isinstance(part, dict) else part for part in content]
    reasoning = next((kept[name] for name in _REASONING if name in kept), None)
    if reasoning is not None:
        kept = {"thinking": reasoning, **kept, "reasoning_content": reasoning}
    return kept


def _tag_last_text(message: dict[str, Json]) -> None:
    for part in reversed(message["content"]):
        if isinstance(part, dict) and "text" in part:
            part["text"] += _CONTINUE
            return
    raise BadRequest("messages", "a text to continue in the assistant's last message", "none")


def _cut(rendered: str) -> str:
    """What comes before the end of the message that is continued."""
    place = rendered.rfind(_MARK)
    if place < 0:
        reason = "the model's chat template leaves out the assistant's last message: it cannot be continued"
        raise Unprocessable("messages", reason)
    is_whole = rendered[place : place + len(_CONTINUE)] == _CONTINUE
    return rendered[:place] if is_whole else rendered[:place].rstrip()


def _environment() -> ImmutableSandboxedEnvironment:
    """Templates are code from the Hub: they see plain values and cannot change or reach anything."""
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):
        """`{% generation %}...{% endgeneration %}`, which training masks are made from: just its content."""

        tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

        def parse(self, parser: Parser) -> jinja2.nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    class PlainDict:
        """`dict(...)` without the attributes of the type."""

        def __call__(self, *arguments: Json, **named: Json) -> dict[Json, Json]:
            return dict(*arguments, **named)

        def fromkeys(self, *arguments: Json) -> dict[Json, Json]:
            return dict.fromkeys(*arguments)

    class PlainNamespace(Namespace):
        def __init__(*arguments: Json, **named: Json) -> None:
            self, rest = arguments[0], arguments[1:]
            values = dict(*rest, **named)
            for name in values:
                _check_attribute(name)
            Namespace.__init__(self, values)

        def __setitem__(self, name: str, value: Json) -> None:
            _check_attribute(name)
            Namespace.__setitem__(self, name, value)

    def _check_attribute(name: object) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace has no attribute {name!r}")

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["dict"] = PlainDict()
    environment.globals["namespace"] = PlainNamespace
    return environment


def _raise_exception(message: str) -> NoReturn:
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)


def _tojson(
    value: Json,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike Jinja's own it escapes no HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
