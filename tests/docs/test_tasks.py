"""docs/tasks.md lists every task of transformers and of this library, as the code has them."""

from __future__ import annotations

from pathlib import Path

from transformers.pipelines import SUPPORTED_TASKS

from hf_lambda import tasks
from warmup.prepare.families import families_of

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def table() -> str:
    rows = ["| task | served | prepared families |", "|---|---|---|"]
    for task in sorted({*SUPPORTED_TASKS, *tasks.TASKS, *tasks.REFUSED}):
        if task in tasks.REFUSED:
            rows.append(f"| `{task}` | no: {tasks.REFUSED[task]} | |")
            continue
        families = ", ".join(families_of(task))
        rows.append(f"| `{task}` | {'prepared, or torch' if families else 'torch'} | {families} |")
    return "\n".join(rows)


def test_the_page_has_the_table_that_the_code_makes():
    text = PAGE.read_text()
    start, end = text.index("| task |"), text.index("\n\n", text.index("| task |"))
    assert text[start:end] == table(), f"write this table into docs/tasks.md:\n{table()}"
