"""The tasks that `pipeline` takes: aliases, model heads, default models."""

from __future__ import annotations

import re

HEADS = {
    "text-classification": "sequence-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "fill-mask": "masked-lm",
    "feature-extraction": "feature-extraction",
    "zero-shot-classification": "sequence-classification",
    "text-generation": "causal-lm",
    "summarization": "seq2seq-lm",
    "translation": "seq2seq-lm",
    "text2text-generation": "seq2seq-lm",
}
TASKS = tuple(HEADS)
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}

DROPPED = ("summarization", "translation", "text2text-generation", "question-answering")
"""Gone from transformers 5 (as is every translation_xx_to_yy); `hf_lambda.pipeline` still has them."""

DEFAULTS = {
    "text-classification": (
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "714eb0fa89d2f80546fda750413ed43d93601a13",
    ),
    "token-classification": (
        "dbmdz/bert-large-cased-finetuned-conll03-english",
        "4c534963167c08d4b8ff1f88733cf2930f86add0",
    ),
    "question-answering": (
        "distilbert/distilbert-base-cased-distilled-squad",
        "564e9b582944a57a3e586bbb98fd6f0a4118db7f",
    ),
    "fill-mask": ("distilbert/distilroberta-base", "fb53ab8802853c8e4fbdbcd0529f21fc6f459b2b"),
    "feature-extraction": ("distilbert/distilbert-base-cased", "6ea81172465e8b0ad3fddeed32b986cdcdcffcf0"),
    "zero-shot-classification": ("facebook/bart-large-mnli", "d7645e127eaf1aefc7862fd59a17a5aa8558b8ce"),
    "text-generation": ("HuggingFaceTB/SmolLM3-3B", "a07cc9a04f16550a088caea529712d1d335b0ac1"),
    "summarization": ("sshleifer/distilbart-cnn-12-6", "a4f8f3ea906ed274767e9906dbaede7531d660ff"),
    "translation": ("google-t5/t5-base", "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1"),
    "text2text-generation": ("google-t5/t5-base", "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1"),
}
"""Well-known model and commit per task: what transformers' own pipelines took and take."""

_TRANSLATION = re.compile(r"translation_([A-Za-z]+)_to_([A-Za-z]+)")
_DEFAULT_PAIRS = {("en", "fr"), ("en", "de"), ("en", "ro")}  # what T5 was trained on


def canonical(task: str) -> str:
    """The task's own name: aliases resolved, `translation_xx_to_yy` as it is. Raises ValueError."""
    name = ALIASES.get(task, task)
    if name not in HEADS and not _TRANSLATION.fullmatch(name):
        known = ", ".join([*TASKS, *ALIASES, "translation_xx_to_yy"])
        raise ValueError(f"unknown task {task!r}; known: {known}")
    return name


def base_of(task: str) -> str:
    """Like `canonical`, with every `translation_xx_to_yy` as `translation`."""
    name = canonical(task)
    return "translation" if _TRANSLATION.fullmatch(name) else name


def languages(task: str) -> tuple[str, str] | None:
    """`translation_en_to_fr` -> `("en", "fr")`; None for every other task."""
    match = _TRANSLATION.fullmatch(task)
    return (match[1], match[2]) if match else None


def head_of(task: str) -> str:
    """The kind of model that answers `task`, for instance `sequence-classification`."""
    return HEADS[base_of(task)]


def is_dropped(task: str) -> bool:
    return task in DROPPED or bool(_TRANSLATION.fullmatch(task))


def default_model(task: str) -> tuple[str, str]:
    """Model and commit of `task` where the script names none. Raises ValueError where there is none."""
    pair = languages(task)
    if task == "translation":
        raise ValueError('"translation" does not say between which languages: write "translation_en_to_fr"')
    if pair and pair not in _DEFAULT_PAIRS:
        example = f"Helsinki-NLP/opus-mt-{'-'.join(pair)}"
        raise ValueError(f"{task} has no default model; write model=..., for instance {example}")
    return DEFAULTS[base_of(task)]
