"""What is to be warmed, from scripts and from events."""

from pathlib import Path

import pytest

from discovery import ScriptError, read_scripts
from warmup.protocol.errors import WarmupError
from warmup.protocol.models import (
    ModelRequest,
    Use,
    entries_of,
    models_of_json,
    models_of_scripts,
    read_models,
)


def write(folder: Path, name: str, *pipelines: str) -> None:
    lines = ["from hf_lambda import endpoint, pipeline", *pipelines]
    (folder / name).write_text("\n".join([*lines, "@endpoint", "def handler(text: str): return text"]))


def test_a_model_that_two_scripts_use_is_warmed_once_for_both_uses(tmp_path: Path) -> None:
    write(tmp_path, "a.py", 'p = pipeline("text-classification", model="org/m", engine="onnx")')
    write(tmp_path, "b.py", 'p = pipeline("zero-shot-classification", model="org/m", revision="main")')
    assert read_models(tmp_path) == (
        ModelRequest(
            "org/m",
            None,
            (Use("text-classification", "onnx", "auto"), Use("zero-shot-classification", "auto", "auto")),
        ),
    )


def test_two_revisions_are_two_models(tmp_path: Path) -> None:
    for name, revision in (("a", "v1"), ("b", "v2")):
        write(tmp_path, f"{name}.py", f'p = pipeline("fill-mask", model="org/m", revision="{revision}")')
    assert [model.key for model in read_models(tmp_path)] == ["org/m@v1", "org/m@v2"]


def test_models_of_plain_scripts_stay_on_torch(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        'from transformers import pipeline\np = pipeline("fill-mask", model="org/m")\n'
        "def handler(event, context): return p(event['text'])\n"
    )
    [model] = read_models(tmp_path)
    assert [use.engine for use in model.uses] == ["torch"]


def test_samples_of_a_script_travel_with_the_event(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('"Good."\n"Bad."\n')
    write(tmp_path, "a.py", 'p = pipeline("text-classification", model="org/m", samples="mine.jsonl")')
    [model] = read_models(tmp_path)
    [entry] = entries_of([model])
    assert entry.to_json()["samples"] == ["Good.", "Bad."]
    assert models_of_json([entry.to_json()]) == (model,)


def test_an_event_comes_back_as_the_models_it_was_made_of(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        'p = pipeline("text-classification", model="org/m", precision="fp32")',
        'q = pipeline("fill-mask", model="org/n", revision="v1", engine="torch")',
    )
    models = read_models(tmp_path)
    assert models_of_json([entry.to_json() for entry in entries_of(models)]) == models


def test_a_use_says_how_much_memory_its_function_has_and_how_long_its_texts_are(tmp_path: Path) -> None:
    write(tmp_path, "a.py", 'p = pipeline("text-generation", model="org/m", max_context=512)')
    write(
        tmp_path,
        "b.py",
        "import os",
        'p = pipeline("text-generation", model="org/m", max_context=len(os.sep))',
    )
    models = models_of_scripts(read_scripts(tmp_path), {"a": 1024})
    assert [(use.memory_mb, use.max_context) for use in models[0].uses] == [(1024, 512), (None, None)]
    assert models_of_json([entry.to_json() for entry in entries_of(models)]) == models


def test_an_adapter_is_a_repository_of_its_own_and_asked_for_with_its_base(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        'p = pipeline("text-generation", "org/m", engine="onnx", adapter="org/a", adapter_revision="v1")',
    )
    models = read_models(tmp_path)
    assert [(model.key, [use.requested for use in model.uses]) for model in models] == [
        ("org/m@main", ["auto+org/a@v1"]),
        ("org/a@v1", ["auto"]),
    ]
    [use] = models[1].uses
    assert (use.engine, use.files) == ("torch", ("adapter_config.json", "adapter_model.safetensors"))
    assert models_of_json([entry.to_json() for entry in entries_of(models)]) == models
    assert read_scripts(tmp_path)[0].image == "slim"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('adapter="org/a"', 'write engine="onnx" beside it'),
        ('engine="onnx", adapter_revision="v1"', "is of an adapter: name it"),
        ('engine="onnx", adapter="a b"', 'write a Hub repository, adapter="org/name"'),
    ],
)
def test_an_adapter_that_nothing_could_merge_is_a_mistake(tmp_path: Path, options: str, reason: str) -> None:
    write(tmp_path, "a.py", f'p = pipeline("text-generation", model="org/m", {options})')
    with pytest.raises(ScriptError, match=reason):
        read_models(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"model": "org/m"},
        {"model": "a/b/c", "task": "x"},
        {"model": "-x", "task": "x"},
        {"model": 1, "task": "x"},
    ],
)
def test_an_entry_that_is_no_model_is_shown_with_a_valid_one(entry: dict[str, object]) -> None:
    with pytest.raises(WarmupError, match=r"is not a model\. Write for instance \{\"model\": \"org/name\""):
        models_of_json([entry])
