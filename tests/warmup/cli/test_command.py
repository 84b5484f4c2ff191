"""What the command says beside what it did."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discovery import Declared, Script, read_scripts
from hf_lambda.manifest import PreparedEntry
from tests.warmup.lambda_api import Api, Function, serve_functions
from warmup.cli.access import Access
from warmup.cli.command import Command, memory_advice
from warmup.cli.display import Lines
from warmup.cli.stack import StackClient
from warmup.protocol.answers import CacheStatus, WarmedModel
from warmup.protocol.errors import WarmupError
from warmup.protocol.outputs import StackOutputs
from warmup.protocol.reports import WarmReport

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


PLAIN = (
    'from transformers import pipeline\np = pipeline("fill-mask", model="org/{name}")\n'
    "EXAMPLE = {{'text': 'Hi'}}\ndef handler(event, context): return p(event['text'])\n"
)


def command_over(api: Api, folder: Path, *, in_image: tuple[str, ...], only: str | None = None) -> Command:
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(PLAIN.format(name=name))
    warmup = api.arn("warmup") if "warmup" in api.functions else None
    functions = {name: api.arn(name) for name in ("one", "two")}
    outputs = StackOutputs(warmup, functions, "dev", api.url, in_image=in_image)
    client = StackClient(outputs, Access("us-east-1"))
    return Command(client, read_scripts(folder), only=only, parallel=2)


def test_a_stack_without_a_cache_is_asked_its_questions_and_warmed_by_nobody(tmp_path: Path) -> None:
    functions = {"one": lambda event: "1", "two": lambda event: "2"}
    with serve_functions(Api(functions)) as api:
        command = command_over(api, tmp_path, in_image=("one", "two"))
        outcome = command.warm(Lines(io.StringIO()))
        with pytest.raises(WarmupError, match="stack dev has no cache: every endpoint has its models in its"):
            command.status()
    assert isinstance(outcome.report, WarmReport)
    assert not outcome.failures and not outcome.report.warmup
    assert {each.name for each in outcome.report.endpoints} == {"one", "two"}


def test_models_in_images_are_left_to_their_images_and_their_endpoints_are_asked(tmp_path: Path) -> None:
    asked: list[Any] = []

    def warmup(event: Any) -> Any:
        asked.append(event)
        return CacheStatus((), ()).to_json()

    functions: dict[str, Function] = {"one": lambda _: "1", "two": lambda _: "2", "warmup": warmup}
    with serve_functions(Api(functions)) as api:
        command_over(api, tmp_path, in_image=("one",)).status()
        # Of a model that is in an image alone there is nothing to warm, and its endpoint to ask.
        outcome = command_over(api, tmp_path, in_image=("one",), only="org/one").warm(Lines(io.StringIO()))
    assert [model["model"] for model in asked[0]["models"]] == ["org/two"]
    assert len(asked) == 1 and isinstance(outcome.report, WarmReport)
    assert [each.name for each in outcome.report.endpoints] == ["one"]
