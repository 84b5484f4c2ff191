"""Calls of `hf_lambda.pipeline` read from source: what they declare, and mistakes with place and fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from discovery import Declared, read_scripts
from tests.discovery.scripts import HANDLER, IMPORT, ours, problems, script


def declared(folder, text):
    return read_scripts(script(folder, text))[0].pipelines


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('pipeline("ner", model="org/name")', Declared("token-classification", "org/name", None)),
        ('pipeline("ner", "org/name", revision="v1")', Declared("token-classification", "org/name", "v1")),
        ('pipeline(task="fill-mask", model="gpt2")', Declared("fill-mask", "gpt2", None)),
        (
            'pipeline("ner", "org/name", None, None, None, None, None, None, "v1")',
            Declared("token-classification", "org/name", "v1"),
        ),
        (
            'pipeline("ner", model="a/b", engine="onnx", precision="int8", aggregation_strategy="simple")',
            Declared("token-classification", "a/b", None, "onnx", "int8"),
        ),
        (
            'pipeline("sentiment-analysis")',
            Declared(
                "text-classification",
                "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
                "714eb0fa89d2f80546fda750413ed43d93601a13",
            ),
        ),
        ('pipeline("ner", model="./models/mine")', Declared("token-classification", "./models/mine", None)),
        ('pipeline("ner", model=None, revision="v9")', Declared(
            "token-classification", "dbmdz/bert-large-cased-finetuned-conll03-english", "v9")),
    ],
)  # fmt: skip
def test_a_call_declares_its_model(folder, call, expected):
    assert declared(folder, ours(call)) == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        'import hf_lambda\np = hf_lambda.pipeline("ner", model="org/name")\n'
        "handler = hf_lambda.endpoint(p)\n",
        'import hf_lambda as s\np = s.pipeline("ner", model="org/name")\nhandler = s.endpoint(p)\n',
        'from hf_lambda import pipeline as make, endpoint\np = make("ner", model="org/name")' + HANDLER,
        f'{IMPORT}NAME = "org/name"\np = pipeline("ner", model=NAME)' + HANDLER,
        f'{IMPORT}ORG: str = "org"\np = pipeline("ner", model=f"{{ORG}}/name")' + HANDLER,
        f'{IMPORT}ORG = "org/"\nNAME = ORG + "name"\np = pipeline("ner", model=NAME)' + HANDLER,
        f'{IMPORT}def load():\n    return pipeline("ner", model="org/name")' + HANDLER,
    ],
)
def test_aliases_constants_and_places_do_not_matter(folder, text):
    assert declared(folder, text) == (Declared("token-classification", "org/name", None),)


def test_the_same_declaration_twice_is_one(folder):
    call = 'pipeline("ner", model="org/name")'
    assert len(declared(folder, ours(f"[{call}, {call}]"))) == 1
    assert len(declared(folder, ours(f'[{call}, pipeline("fill-mask", model="org/name")]'))) == 2


def test_samples_come_from_a_file_beside_the_script(folder):
    (folder / "samples.jsonl").write_text('"one\u2028line"\n{"text": "zwei \\u00fc"}\n\n')
    call = 'pipeline("ner", model="org/name", samples="samples.jsonl")'
    assert declared(folder, ours(call))[0].samples == ("one\u2028line", {"text": "zwei ü"})


def test_an_image_holds_every_file_that_samples_can_be_in():
    """It reads its scripts while it is built, and would stop at one whose samples are left out."""
    root = Path(__file__).parents[2]
    assert "!inference/**/*.jsonl" in (root / ".dockerignore").read_text().splitlines()
    kept = re.findall(r"! -name '\*(\.\w+)'", (root / "inference/Dockerfile").read_text())
    assert set(kept) == {".py", ".jsonl"}


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ('pipeline("ner", model=name())', 'not known before the script runs: write model="org/name"'),
        ('pipeline("ner", model=os.environ["M"])', "`model=os.environ['M']` is not known"),
        ('pipeline("ner", model="a/b", revision=x)', 'before the script runs: write revision="main"'),
        ('pipeline("ner", **options)', "`*` and `**` hide the arguments"),
        ('pipeline(model="a/b")', 'name the task: pipeline("text-classification", ...)'),
        (
            'pipeline("text-to-audio", model="a/b", engine="onnx")',
            "`engine='onnx'`: models for text-to-audio are not prepared; leave it out, and torch answers",
        ),
        ('pipeline("image-description", model="a/b")', "unknown task 'image-description'; known: "),
        ('pipeline("ner", model="a/b/c")', "`model='a/b/c'` is not a Hub repository: write mo"),
        ('pipeline("ner", model="/opt/model")', "is not a Hub repository"),
        ('pipeline("ner", model="a/b", revision="")', "`revision=''` is not one"),
        ('pipeline("ner", model="a/b", engine="tensorrt")', ': write one of "auto", "onnx", "torch"'),
        ('pipeline("ner", model="a/b", tokenizer="c/d")', "`tokenizer='c/d'` is not supported here"),
        ('pipeline("ner", model="a/b", top_k=3)', "`top_k` is not an option of token-classification"),
        ('pipeline("fill-mask", model="a/b", top_k=0)', "`top_k=0`: write a whole number of at least 1"),
        ('pipeline("translation")', 'write "translation_en_to_fr"'),
        ('pipeline("translation_fi_to_sv")', "Helsinki-NLP/opus-mt-fi-sv"),
        ('pipeline("ner", model="a/b", samples="none.jsonl")', "is not a readable file of one input in JSON"),
        ('pipeline("ner", model="a/b", samples="some.json")', "write the name of a .jsonl file beside the"),
        ('pipeline("ner", model="a/b", samples="../a.jsonl")', "write the name of a .jsonl file beside the"),
        ('pipeline("ner", model="a/b", samples="/a.jsonl")', "write the name of a .jsonl file beside the"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_read_is_named_with_its_line_and_fix(folder, call, problem):
    script(folder, ours(call))
    (found,) = problems(folder)
    assert found.startswith("inference/script.py:2: ")
    assert problem in found


def test_a_constant_that_changes_is_none(folder):
    script(folder, f'{IMPORT}M = "a/b"\nM = "c/d"\np = pipeline("ner", model=M){HANDLER}')
    assert "`model=M` is not known" in problems(folder)[0]


@pytest.mark.parametrize(
    ("content", "problem"), [("\n\n", "holds no inputs"), ('"one"\nnot json\n', "one input in JSON a line")]
)
def test_samples_must_be_inputs(folder, content, problem):
    (folder / "s.jsonl").write_text(content)
    script(folder, ours('pipeline("ner", model="a/b", samples="s.jsonl")'))
    assert "`samples='s.jsonl'`" in problems(folder)[0]
    assert problem in problems(folder)[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('model="../mine"', 'write model="org/name", or "./models/mine" for a folder beside the script'),
        ('model="./mine--1"', "`model='./mine--1'` is not a Hub repository"),
        ('model="s3://bucket"', 'write model="s3://bucket/prefix"'),
        ('model="s3://bucket/mine/"', 'without "--" or a slash at the end'),
        ('model="s3://bucket/mine", revision="main"', "`revision='main'`: a folder has none"),
        ('model="./mine", revision="main"', "`revision='main'`: a folder has none"),
    ],
)
def test_a_folder_that_is_none_says_how_to_write_it(folder, options, expected):
    (problem,) = problems(script(folder, ours(f'pipeline("ner", {options})')))
    assert expected in problem
