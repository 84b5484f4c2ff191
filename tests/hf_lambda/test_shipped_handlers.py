"""The handlers of inference/ and examples/: what an error message tells a caller to send, they take."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_lambda.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
SCRIPTS = [path for folder in ("inference", "examples") for path in sorted((ROOT / folder).glob("*.py"))]
CUTTING = ("sentiment", "summarization", "translate-en2fr")
"""Scripts whose model refuses long texts unless it is asked to cut them; the others cut by themselves."""


def loaded(path, monkeypatch):
    """The module, and its pipeline with nothing behind it but what it was asked."""
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    served = next(value for value in vars(module).values() if isinstance(value, Pipeline))
    asked = []

    def run(items, parameters):
        asked.append(parameters)
        return [{"label": "A"} for _ in items]

    monkeypatch.setattr(served, "_run", run)
    return module, asked


@pytest.mark.parametrize("name", CUTTING)
def test_a_caller_who_is_told_to_ask_for_truncation_can_do_so(name, monkeypatch):
    path = next(path for path in SCRIPTS if path.stem == name)
    module, asked = loaded(path, monkeypatch)
    assert module.handler({**module.EXAMPLE, "truncation": True}, None)["statusCode"] == 200
    assert module.handler(module.EXAMPLE, None)["statusCode"] == 200
    assert [parameters.get("truncation") for parameters in asked] == [True, False]


def test_every_script_that_is_shipped_is_one_of_them_or_never_tells_to():
    cut_by_themselves = {"embeddings", "rerank", "zero-shot", "plain-ner"}
    others = {"chat", "clip", "detect", "image-classification", "transcribe"}
    assert {path.stem for path in SCRIPTS} == {*CUTTING, "plain-sentiment", *cut_by_themselves, *others}


def test_the_plain_script_takes_it_too(monkeypatch):
    asked = []

    def pipeline(task, **options):
        def classify(text, **parameters):
            asked.append((text, parameters))
            return [{"label": "A"}]

        return classify

    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(pipeline=pipeline))
    path = ROOT / "examples" / "plain-sentiment.py"
    spec = importlib.util.spec_from_file_location("plain_sentiment", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.handler({"text": "a", "truncation": True}, None)["body"] == {"label": "A"}
    assert module.handler({"text": "b"}, None)["statusCode"] == 200
    assert asked == [("a", {"truncation": True}), ("b", {"truncation": False})]
