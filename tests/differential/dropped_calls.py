"""Calls of the tasks that transformers 5 dropped, and the tiny models that answer them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests import tiny_encoders, tiny_seq2seq

READERS = ("roberta",)
WRITERS = ("bart", "t5", "pegasus", "m2m100", "mbart50")
"""Families whose tokenizers train to the same words every time."""
FAMILIES = (*READERS, *WRITERS)
_TEXTS = (
    "The city opened its new library on Monday.",
    "Good morning, how are you?",
    "Ünïcödé & 123 — done!",
    "a",
)
_CONTEXT = "My name is Sarah and I live in London, by the sea. My brother lives near Brighton."
_QUESTIONS = ("Where do I live?", "Who lives by the sea?", "What?")
_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"num_beams": 3},
    {"num_beams": 4, "num_return_sequences": 2, "early_stopping": True},
    {"no_repeat_ngram_size": 2, "num_beams": 2, "length_penalty": 2.0},
    {"min_length": 8},
    {"repetition_penalty": 1.7},
    {"clean_up_tokenization_spaces": True},
    {"truncation": True},
)
_READING: tuple[dict[str, Any], ...] = (
    {},
    {"top_k": 4},
    {"max_answer_len": 2},
    {"max_answer_len": 40, "top_k": 3},
    {"handle_impossible_answer": True},
    {"doc_stride": 8, "max_seq_len": 32},
    {"max_question_len": 3},
)


@dataclass(frozen=True)
class Call:
    """One call: `given` is a text, a list of them, or the question and its context."""

    family: str
    task: str
    given: Any
    parameters: dict[str, Any] = field(default_factory=dict)


def build(family: str, folder: Path) -> Path:
    """The tiny model of `family`, the same at every call."""
    torch.manual_seed(7)
    if family in READERS:
        return tiny_encoders.save_head(
            tiny_encoders.build(family, folder, labels=["start", "end"]), "AutoModelForQuestionAnswering"
        )
    return tiny_seq2seq.build(family, folder, seed=7)


def _calls() -> Iterator[Call]:
    for family in READERS:
        for question in _QUESTIONS:
            for parameters in _READING:
                given = {"question": question, "context": _CONTEXT}
                yield Call(family, "question-answering", given, parameters)
    for family in WRITERS:
        for index, options in enumerate(_OPTIONS):
            languages = _LANGUAGES.get(family, {})
            tasks = ["text2text-generation", "summarization"] if not languages else []
            for task in [*tasks, "translation" if languages else "translation_en_to_fr"]:
                pair = languages if task == "translation" else {}
                parameters = {"max_new_tokens": 12, "num_beams": 1, **options, **pair}
                texts = [*_TEXTS] if index == 0 else _TEXTS[index % len(_TEXTS)]
                yield Call(family, task, texts, parameters)


_LANGUAGES = {
    "m2m100": {"src_lang": "en", "tgt_lang": "fr"},
    "mbart50": {"src_lang": "en_XX", "tgt_lang": "fr_XX"},
}
CALLS = tuple(_calls())
