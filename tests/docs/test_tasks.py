"""docs/tasks.md lists every task of transformers and of this library, as the code has them."""

from __future__ import annotations

from pathlib import Path

from transformers.pipelines import SUPPORTED_TASKS

from hf_lambda import tasks
from warmup.prepare.decoder.families import FAMILIES as LANGUAGE_MODELS
from warmup.prepare.encoder import export as encoder
from warmup.prepare.encoder.graphs import ENCODER_DECODERS
from warmup.prepare.seq2seq import export as seq2seq
from warmup.prepare.vision import export as vision

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
_TEXT_HEADS = ("sequence-classification", "token-classification", "question-answering", "masked-lm")


def families_of(task: str) -> str:
    """What the warm-up prepares for `task`; empty where it is torch's alone."""
    head = tasks.head_of(task)
    if head in vision.FAMILIES:
        return ", ".join(vision.FAMILIES[head])
    if head in (*_TEXT_HEADS, "feature-extraction"):
        more = ENCODER_DECODERS if head == "sequence-classification" else frozenset()
        decoders = LANGUAGE_MODELS if head == "feature-extraction" else ()
        return ", ".join(sorted({*encoder.FAMILIES, *more, *decoders}))
    if head == "seq2seq-lm":
        return ", ".join(sorted(seq2seq.FAMILIES))
    if head == "causal-lm":
        return ", ".join(sorted(LANGUAGE_MODELS))
    assert task in tasks.TORCH_ONLY
    return ""


def table() -> str:
    rows = ["| task | served | prepared families |", "|---|---|---|"]
    for task in sorted({*SUPPORTED_TASKS, *tasks.TASKS, *tasks.REFUSED}):
        if task in tasks.REFUSED:
            rows.append(f"| `{task}` | no: {tasks.REFUSED[task]} | |")
            continue
        families = families_of(task)
        rows.append(f"| `{task}` | {'prepared, or torch' if families else 'torch'} | {families} |")
    return "\n".join(rows)


def test_the_page_has_the_table_that_the_code_makes():
    text = PAGE.read_text()
    start, end = text.index("| task |"), text.index("\n\n", text.index("| task |"))
    assert text[start:end] == table(), f"write this table into docs/tasks.md:\n{table()}"
