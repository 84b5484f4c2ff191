"""What the command says beside what it did."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discovery import Declared, Script
from hf_lambda.manifest import PreparedEntry
from warmup.cli.command import memory_advice
from warmup.protocol.answers import WarmedModel

INT8 = PreparedEntry("causal-lm", "auto", "int8", "p", "x86_64", "1", memory_mb=945, context=4096)
CHAT = WarmedModel("org/chat", "main", "a" * 40, 1, (INT8,), (), 5)


def script(**options: Any) -> Script:
    declared = replace(Declared("text-generation", "org/chat", None), **options)
    return Script("chat", Path("chat.py"), (declared,), {})


def test_a_function_with_less_memory_than_its_language_model_takes_is_named() -> None:
    (line,) = memory_advice([script()], {"chat": 944}, [CHAT])
    assert line == (
        "chat: org/chat as int8 takes 945 MB with 4096 tokens, the function has memoryMb 944: raise it, or "
        "give the pipeline a smaller max_context"
    )


@pytest.mark.parametrize(
    ("options", "memory_mb"),
    [
        ({}, {"chat": 945}),
        ({}, {}),  # a stack of an earlier version
        ({"revision": "v2"}, {"chat": 512}),
        ({"precision": "int4"}, {"chat": 512}),
        ({"task": "feature-extraction"}, {"chat": 512}),
    ],
)
def test_every_other_one_is_not(options: dict[str, str], memory_mb: dict[str, int]) -> None:
    assert not list(memory_advice([script(**options)], memory_mb, [CHAT]))
