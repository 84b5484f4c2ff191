"""The text of a script for a model. What the Hub says enters it as literals alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from hf_lambda.media.inputs import KINDS
from hf_lambda.tasks import base_of

from ..protocol.records import Json
from .events import example_of, needs_word_boxes
from .facts import ModelFacts
from .forecast import Forecast, context_of
from .task import is_multilingual

_WIDTH = 100
_PREPARED = '# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.\n'
_TORCH = "# Served by torch, from the full image: models of this kind are not prepared.\n"


@dataclass(frozen=True)
class Template:
    """A script of a task: written here, nothing of it comes from the Hub."""

    does: str
    verb: str
    parameters: str
    """Of the handler."""
    call: str
    """What the handler answers, with the pipeline called `verb`."""
    imports: tuple[str, ...] = ("endpoint", "pipeline")
    options: Mapping[str, Json] = field(default_factory=dict)
    """Of the declaration."""
    yields: bool = False


_LENGTHS = "max_length: int | None = None, truncation: bool = False"
_IMAGE, _AUDIO = ("Image", "endpoint", "pipeline"), ("Audio", "endpoint", "pipeline")
_TEMPLATES = {
    "text-classification": Template(
        "Which label fits a text, and how well.",
        "classify",
        "text: str | list[str], top_k: int | None = None, truncation: bool = False",
        "classify(text, top_k=top_k, truncation=truncation)",
    ),
    "text-ranking": Template(
        "Documents by how well they answer a query.",
        "rank",
        "query: str, documents: list[str], top_n: int | None = None, return_documents: bool = False",
        "rank(query, documents, top_n=top_n, return_documents=return_documents)",
    ),
    "token-classification": Template(
        "The names and other entities in a text.",
        "recognize",
        "text: str | list[str]",
        "recognize(text)",
        options={"aggregation_strategy": "simple"},
    ),
    "question-answering": Template(
        "The answer to a question, as it stands in a text.",
        "answer",
        "question: str, context: str, top_k: int | None = None",
        "answer(question=question, context=context, top_k=top_k)",
    ),
    "fill-mask": Template(
        "What fits the gap in a text.",
        "fill",
        "text: str | list[str], top_k: int | None = None",
        "fill(text, top_k=top_k)",
    ),
    "feature-extraction": Template("Texts as vectors.", "embed", "text: str | list[str]", "embed(text)"),
    "zero-shot-classification": Template(
        "Which of the labels that come with the request fits the text.",
        "classify",
        "text: str | list[str], candidate_labels: list[str], multi_label: bool = False",
        "classify(text, candidate_labels=candidate_labels, multi_label=multi_label)",
    ),
    "text-generation": Template(
        "Goes on with a text, piece by piece where the request asks for a stream.",
        "generate",
        "prompt: str, max_new_tokens: int = 100, temperature: float | None = None",
        "generate.stream(prompt, max_new_tokens=max_new_tokens, temperature=temperature)",
        yields=True,
    ),
    "summarization": Template(
        "A short summary of a text.",
        "summarize",
        "article: str | list[str], max_length: int | None = None, min_length: int | None = None, "
        "truncation: bool = False",
        "summarize(article, max_length=max_length, min_length=min_length, truncation=truncation)",
    ),
    "translation": Template(
        "Translates a text.",
        "translate",
        f"text: str | list[str], {_LENGTHS}",
        "translate(text, max_length=max_length, truncation=truncation)",
    ),
    "text2text-generation": Template(
        "Writes what the text asks for.",
        "generate",
        f"text: str | list[str], {_LENGTHS}",
        "generate(text, max_length=max_length, truncation=truncation)",
    ),
    "image-classification": Template(
        "What is in the picture.",
        "classify",
        "image: Image | list[Image], top_k: int | None = None",
        "classify(image, top_k=top_k)",
        _IMAGE,
    ),
    "image-feature-extraction": Template(
        "Pictures as vectors.", "embed", "image: Image | list[Image]", "embed(image)", _IMAGE
    ),
    "image-segmentation": Template(
        "Which parts of the picture are what, a mask for each.",
        "segment",
        "image: Image | list[Image]",
        "segment(image)",
        _IMAGE,
    ),
    "object-detection": Template(
        "What is where in the picture.",
        "detect",
        "image: Image | list[Image], threshold: float | None = None",
        "detect(image, threshold=threshold)",
        _IMAGE,
    ),
    "depth-estimation": Template(
        "How far away everything in the picture is.",
        "estimate",
        "image: Image | list[Image]",
        "estimate(image)",
        _IMAGE,
    ),
    "zero-shot-image-classification": Template(
        "Which of the labels that come with the request fits the picture.",
        "classify",
        "image: Image | list[Image], candidate_labels: list[str]",
        "classify(image, candidate_labels=candidate_labels)",
        _IMAGE,
    ),
    "zero-shot-object-detection": Template(
        "Where in the picture is what the labels of the request name.",
        "detect",
        "image: Image | list[Image], candidate_labels: list[str], threshold: float | None = None",
        "detect(image, candidate_labels=candidate_labels, threshold=threshold)",
        _IMAGE,
    ),
    "keypoint-matching": Template(
        "Which points of two pictures are the same.",
        "match",
        "first: Image, second: Image",
        "match([first, second])",
        _IMAGE,
    ),
    "document-question-answering": Template(
        "The answer to a question about the picture of a page.",
        "answer",
        "image: Image, question: str",
        "answer(image, question=question)",
        _IMAGE,
    ),
    "image-to-text": Template(
        "What is written or to be seen in the picture, as text.",
        "write",
        "image: Image | list[Image], max_new_tokens: int | None = None, prompt: str | None = None",
        "write(image, max_new_tokens=max_new_tokens, prompt=prompt)",
        _IMAGE,
    ),
    "image-text-to-text": Template(
        "An answer to a text about a picture.",
        "generate",
        "image: Image, text: str, max_new_tokens: int | None = None",
        "generate(image, text=text, max_new_tokens=max_new_tokens)",
        _IMAGE,
    ),
    "audio-classification": Template(
        "What is to be heard.",
        "classify",
        "audio: Audio | list[Audio], top_k: int | None = None",
        "classify(audio, top_k=top_k)",
        _AUDIO,
    ),
    "automatic-speech-recognition": Template(
        "What is said, as text.", "recognize", "audio: Audio | list[Audio]", "recognize(audio)", _AUDIO
    ),
    "zero-shot-audio-classification": Template(
        "Which of the labels that come with the request fits the sound.",
        "classify",
        "audio: Audio | list[Audio], candidate_labels: list[str]",
        "classify(audio, candidate_labels=candidate_labels)",
        _AUDIO,
    ),
    "text-to-audio": Template("A text as speech.", "speak", "text: str | list[str]", "speak(text)"),
    "decision": Template(
        "Decisions about a state, each with its probabilities.",
        "decide",
        "state: object, questions: dict[str, object]",
        "decide(state=state, questions=questions)",
    ),
}
_CHAT = "Chat, for any client of OpenAI's API."
_OF_KIND = {"image": ("image", "Image", _IMAGE), "audio": ("audio", "Audio", _AUDIO)}


def script_of(facts: ModelFacts, task: str, expected: Forecast) -> str:
    """The whole script."""
    is_chat = base_of(task) == "text-generation" and facts.has_chat_template
    template = template_of(facts, task)
    declared: dict[str, Json] = {"model": facts.repo_id, "revision": facts.commit, **template.options}
    if expected.prepared:
        declared["engine"] = "onnx"
        if base_of(task) == "text-generation":
            declared["max_context"] = context_of(facts.config)
    lines = "".join(f"    {name}={literal(value)},\n" for name, value in declared.items())
    imports = ("openai", "pipeline") if is_chat else template.imports
    event = example_of(facts, task)
    parts = [
        f'"""{_CHAT if is_chat else template.does}"""\n\n',
        "from collections.abc import Iterator\n\n" if template.yields and not is_chat else "",
        f"from hf_lambda import {', '.join(imports)}\n\n",
        _PREPARED if expected.prepared else _TORCH,
        f"{template.verb} = pipeline(\n    {literal(task)},\n{lines})\n",
        f"handler = openai({template.verb})\n" if is_chat else "",
        f"\nEXAMPLE = {literal(event)}\n" if event else "",
        "" if is_chat else _handler(template),
    ]
    return "".join(parts)


def template_of(facts: ModelFacts, task: str) -> Template:
    base = base_of(task)
    template = _TEMPLATES.get(base) or _plain_template(base)
    if base == "text-classification" and facts.config.get("problem_type") == "multi_label_classification":
        return replace(template, options={"function_to_apply": "sigmoid", "top_k": None})
    if base == "feature-extraction" and facts.is_embedder and facts.embedding_problem is None:
        return replace(template, options={"pooling": "auto"})
    if is_multilingual(facts, task):
        parameters = template.parameters.replace(", ", ", src_lang: str, tgt_lang: str, ", 1)
        call = template.call.replace("(text, ", "(text, src_lang=src_lang, tgt_lang=tgt_lang, ")
        return replace(template, parameters=parameters, call=call)
    if base == "document-question-answering" and needs_word_boxes(facts):
        parameters = f"{template.parameters}, word_boxes: list[object]"
        return replace(template, parameters=parameters, call=template.call[:-1] + ", word_boxes=word_boxes)")
    if base == "automatic-speech-recognition" and facts.family == "whisper":
        parameters = f"{template.parameters}, language: str | None = None"
        return replace(template, parameters=parameters, call="recognize(audio, language=language)")
    return template


def literal(value: Json, indent: int = 0) -> str:
    """`value` as Python writes it, in lines of at most 100 characters where it can be cut into such.

    Every text is the `repr` of itself or, where that is long, of its parts; in double quotes where these say
    the same.
    """
    whole = _line(value)
    room, inner = max(_WIDTH - indent, 40), " " * (indent + 4)
    if len(whole) <= room:
        return whole
    if isinstance(value, str) and len(value) > room - 10:
        lines = [f"{inner}{_line(part)}\n" for part in _parts(value, room - 10)]
        return f"(\n{''.join(lines)}{' ' * indent})" if len(lines) > 1 else whole
    if isinstance(value, dict):
        lines = [f"{inner}{_line(key)}: {literal(each, indent + 4)},\n" for key, each in value.items()]
        return f"{{\n{''.join(lines)}{' ' * indent}}}"
    if isinstance(value, list):
        lines = [f"{inner}{literal(each, indent + 4)},\n" for each in value]
        return f"[\n{''.join(lines)}{' ' * indent}]"
    return whole


def _line(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_line(key)}: {_line(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_line, value)) + "]"
    text = repr(value)
    if isinstance(value, str) and '"' not in text and text[0] == "'":
        return f'"{text[1:-1]}"'
    return text


def _parts(text: str, most: int) -> Iterator[str]:
    """Cut behind spaces."""
    while len(text) > most:
        end = text.rfind(" ", 1, most) + 1 or most
        yield text[:end]
        text = text[end:]
    yield text


def _handler(template: Template) -> str:
    result = "Iterator[str]" if template.yields else "object"
    line = f"def handler({template.parameters}) -> {result}:"
    if len(line) > _WIDTH:
        each = "".join(f"    {parameter},\n" for parameter in template.parameters.split(", "))
        line = f"def handler(\n{each}) -> {result}:"
    answer = "yield from" if template.yields else "return"
    return f"\n\n@endpoint\n{line}\n    {answer} {template.call}\n"


def _plain_template(task: str) -> Template:
    """For a task that has none of its own."""
    name, kind, imports = _OF_KIND.get(KINDS.get(task, ""), ("text", "str", ("endpoint", "pipeline")))
    return Template(
        "One input, or a list of them.", "run", f"{name}: {kind} | list[{kind}]", f"run({name})", imports
    )
