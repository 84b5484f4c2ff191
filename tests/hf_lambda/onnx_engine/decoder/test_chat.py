"""Chat templates come out as `apply_chat_template` renders them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, models

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.inputs import joined_parts
from hf_lambda.onnx_engine.decoder.chat import Template
from tests.tiny_decoders import TEMPLATE

CHATS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": 'Hello <you> & "them"'}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi"}],
    [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "two", "reasoning_content": "after one"},
        {"role": "user", "content": "three?"},
    ],
    [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "One, two,"}],
    [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "One, two, \n"}],
    [{"role": "user", "content": [{"type": "text", "text": "in"}, {"type": "text", "text": " parts"}]}],
    [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"function": {"name": "w", "arguments": {"city": "Ulm"}}}],
        },
        {"role": "tool", "content": "sun"},
    ],
]
PARTS = """{%- macro text(content) -%}
{%- if content is string %}{{ content }}
{%- else %}{% for part in content %}{{ part.text }}{% endfor %}{% endif %}
{%- endmacro -%}
"""
TEMPLATES = {
    "marks": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | string | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "first system message, then turns": PARTS
    + """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = messages[0]['content'] + '\\n\\n' -%}{%- set rest = messages[1:] -%}
{%- else -%}{%- set prefix = '' -%}{%- set rest = messages -%}{%- endif -%}
{%- for message in rest -%}
    <start>{{ 'model' if message.role == 'assistant' else message.role }}
{{ prefix if loop.first else '' }}{{ text(message.content) | trim }}<end>
{% endfor -%}
{%- if add_generation_prompt %}<start>model
{% endif -%}""",
    "a namespace, tools as JSON, thinking": """
{%- set ns = namespace(last=-1, tools='') %}
{%- if tools %}
  {%- for tool in tools %}{%- set ns.tools = ns.tools + (tool | tojson) + '\\n' %}{% endfor %}
{%- endif %}
{%- for message in messages[::-1] %}
  {%- if message.role == 'user' %}{% set ns.last = loop.index0 %}{% break %}{% endif %}
{%- endfor %}
{{- ns.tools }}
{%- for message in messages %}
  {%- if message.reasoning_content is defined and enable_thinking is not false %}
    {{- '<think>' + message.reasoning_content + '</think>' }}
  {%- endif %}
  {%- if message.tool_calls %}
    {%- for call in message.tool_calls %}
      {{- '<call>' + call.function.name }}({{ call.function.arguments | tojson(indent=2) }})
    {%- endfor %}
  {%- endif %}
  {{- '[' ~ message.role ~ '] ' ~ (message.content if message.content is string else '') ~ eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}[assistant]
  {%- if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}
{%- endif %}""",
    "the date, dictionaries, generation marks": """
{%- set names = dict(user='You', assistant='Me', system='Rules', tool='Tool') %}
{%- set date = strftime_now('%Y-%m-%d') %}Today is {{ date }}.
{%- for message in messages %}
{%- if message.role == 'assistant' -%}
{% generation %}{{ names['assistant'] }}: {{ message.content }}{% endgeneration %}
{%- else %}{{ names[message.role] }}: {{ message.content }}{% endif %}
{% endfor %}{% if add_generation_prompt %}Me:{% endif %}""",
    "roles that take turns": """{%- for message in messages %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
  {{- raise_exception('Roles must alternate user/assistant/user/...') }}
{%- endif %}
{{- '[INST] ' + message.content + ' [/INST]' if message.role == 'user' else message.content + '</s>' }}
{%- endfor %}""",
    "of the tests": TEMPLATE,
}
VARIABLES = [{}, {"enable_thinking": False}, {"enable_thinking": True}]
TOOLS = [None, [{"type": "function", "function": {"name": "w", "description": "says <what> it's like"}}]]


@pytest.fixture(scope="module")
def tokenizer():
    backend = Tokenizer(models.WordLevel({"a": 0}, "a"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def _ours(source, tokenizer, chat, tools, variables):
    try:
        return Template(source, tokenizer.special_tokens_map).render(chat, tools=tools, variables=variables)
    except Unprocessable:
        return None


def _theirs(source, tokenizer, chat, tools, variables):
    is_continued = chat[-1]["role"] == "assistant" and chat[-1].get("content") is not None
    try:
        return tokenizer.apply_chat_template(
            chat,
            chat_template=source,
            tools=tools,
            tokenize=False,
            add_generation_prompt=not is_continued,
            continue_final_message=is_continued,
            **variables,
        )
    except Exception:  # noqa: BLE001 - a template's refusal has any type
        return None


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_come_out_as_transformers_renders_them(name, tokenizer):
    source, rendered = TEMPLATES[name], 0
    for chat in CHATS:
        for variables in VARIABLES:
            for tools in TOOLS:
                ours = _ours(source, tokenizer, chat, tools, variables)
                # transformers writes parts as Python does where the template takes none.
                plain = joined_parts(chat, [source])
                assert ours == _theirs(source, tokenizer, plain, tools, variables), (chat, variables, tools)
                rendered += ours is not None
    assert rendered >= 18


def test_a_continued_message_ends_where_it_ends(tokenizer):
    rendered = Template(TEMPLATES["marks"], {}).render(CHATS[3])
    assert rendered.endswith("<|assistant|>\nOne, two,")


def test_the_callers_messages_are_left_as_they_are(tokenizer):
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
    ]
    Template(PARTS + "{% for m in messages %}{{ text(m.content) }}{% endfor %}", {}).render(chat)
    assert chat[1]["content"] == [{"type": "text", "text": "b"}]


def test_the_tool_template_is_taken_where_there_are_tools():
    template = Template({"default": "plain", "tool_use": "tools: {{ tools | length }}"}, {})
    assert template.render(CHATS[0]) == "plain"
    assert template.render(CHATS[0], tools=[{}]) == "tools: 1"
    assert template.reads("length")
    assert not template.reads("enable_thinking")


def test_the_date_is_todays():
    rendered = Template("{{ strftime_now('%d %b %Y') }}", {}).render(CHATS[0])
    assert rendered in {
        (datetime.datetime.now() - datetime.timedelta(days=days)).strftime("%d %b %Y") for days in (0, 1)
    }


@pytest.mark.parametrize(
    ("messages", "field", "expected"),
    [
        ([], "messages", "at least one message"),
        (["hello"], "messages[0]", 'an object {"role": string, "content": string}'),
        ([{"content": "x"}], "messages[0].role", "string"),
        ([{"role": 7, "content": "x"}], "messages[0].role", "string"),
        ([{"role": "user"}], "messages[0].content", "string"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": 5}], "messages[1].content", "string"),
    ],
)
def test_messages_that_are_none_are_a_400_that_names_which(messages, field, expected):
    with pytest.raises(BadRequest) as refused:
        Template(TEMPLATE, {}).render(messages)
    assert (refused.value.field, refused.value.expected) == (field, expected)


def test_what_a_template_refuses_is_a_422_with_its_reason():
    with pytest.raises(
        Unprocessable, match="refuses them: Only system, user and assistant speak here, not critic"
    ):
        Template(TEMPLATE, {}).render([{"role": "critic", "content": "x"}])


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' + messages }}",
        "{{ 1 / (messages | length - messages | length) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_what_a_template_cannot_do_is_a_422(source):
    with pytest.raises(Unprocessable, match=r"the model's chat template cannot take them: ."):
        Template(source, {}).render(CHATS[0])


def test_parts_of_text_are_one_text_for_a_template_that_takes_no_parts():
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]
    chat = [{"role": "user", "content": parts}]
    assert Template("{{ 'a ' + messages[0].content }}", {}).render(chat) == "a One\ntwo"
    assert Template("{{ messages[0]['content'][1]['text'] }}", {}).render(chat) == "two"
    image = [{"role": "user", "content": [*parts, {"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(BadRequest, match=r"messages\[0\].content\[2\].*of type image_url"):
        Template("{{ messages[0].content }}", {}).render(image)


def test_a_model_without_a_template_takes_no_messages():
    with pytest.raises(
        Unprocessable, match="the model has no chat template: give a text instead of messages"
    ):
        Template(None, {}).render(CHATS[0])


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ dict.mro() }}",
        "{{ namespace(_x=1) }}",
        "{% set ns = namespace() %}{% set ns.__init__ = 1 %}",
        "{{ raise_exception.__globals__ }}",
    ],
)
def test_a_template_can_neither_change_nor_reach_what_is_not_its_own(source):
    with pytest.raises(Unprocessable):
        Template("{{ (" + source[2:-2] + ").x.y }}" if source.startswith("{{") else source, {}).render(
            CHATS[0]
        )


def test_a_template_that_leaves_out_the_message_to_continue_is_refused():
    with pytest.raises(Unprocessable, match="leaves out the assistant's last message"):
        Template("{{ messages[0].content }}", {}).render(CHATS[3])


def test_a_message_that_a_template_writes_twice_is_not_continued_and_its_mark_not_shown():
    chat = [
        {"role": "user", "content": "CONTINUE_FINAL_MESSAGE_TAG"},
        {"role": "assistant", "content": "One"},
    ]
    once = "{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    assert Template(once, {}).render(chat) == "CONTINUE_FINAL_MESSAGE_TAG</s>One"
    with pytest.raises(Unprocessable, match="writes the assistant's last message twice"):
        Template("{{ messages | tojson }}" + once, {}).render(chat)


@pytest.mark.parametrize("name", ["messages", "tools", "documents", "add_generation_prompt"])
def test_what_a_rendering_sets_itself_is_no_variable_of_the_request(name):
    with pytest.raises(BadRequest, match=f"`chat_template_kwargs`: .*, given {name}"):
        Template("{{ messages[0].content }}", {}).render(
            [{"role": "user", "content": "Hi"}], variables={name: [], "enable_thinking": True}
        )
