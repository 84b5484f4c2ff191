"""A repository's own code: refused by name, run where the script consents, from the commit that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from discovery import Declared, ScriptError, read_scripts
from hf_lambda import torch_engine
from hf_lambda.errors import EngineUnavailable
from hf_lambda.pipeline import pipeline
from hf_lambda.remote_code import Consent, code_repositories, pinned_to
from tests import tiny_encoders

COMMIT = "c" * 40
CODE = """
from transformers import BertConfig, BertForSequenceClassification
class OwnConfig(BertConfig):
    model_type = "own-kind"
class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
"""
CLASSES = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"}


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """A classifier of a type that transformers does not know, with the code of it beside."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tiny_encoders.build("bert", tmp_path / "model", labels=["NO", "YES"])
    tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")
    name(folder, CLASSES, model_type="own-kind")
    (folder / "own.py").write_text(CODE)
    return folder


def name(folder, classes, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes, "auto_map": classes}))


def test_without_consent_the_refusal_says_what_it_would_take(snapshot):
    with pytest.raises(EngineUnavailable, match=r"trust_remote_code=True.*allowRemoteCode"):
        torch_engine.load("text-classification", snapshot)
    assert "own" not in str(transformers.CONFIG_MAPPING)


def test_with_consent_its_code_answers_and_the_next_load_is_refused_again(snapshot):
    (answer,) = torch_engine.load("text-classification", snapshot, Consent())(["a text"])
    name(snapshot, CLASSES, model_type="bert")
    (plain,) = torch_engine.load("text-classification", snapshot)(["a text"])
    assert answer == {"label": plain["label"], "score": pytest.approx(plain["score"])}
    name(snapshot, CLASSES, model_type="own-kind")
    with pytest.raises(EngineUnavailable):
        torch_engine.load("text-classification", snapshot)


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        ({"AutoConfig": "own.A"}, set()),
        ({"AutoConfig": "o/code--own.A", "AutoModel": "own.B"}, {"o/code"}),
        ({"AutoTokenizer": ["o/words--t.A", None], "AutoModel": "o/code--own.B"}, {"o/words", "o/code"}),
        ("nonsense", set()),
        ({"AutoModel": {"x": 1}}, set()),
    ],
)
def test_other_repositories_of_code_are_known_from_every_config(tmp_path, classes, found):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": classes}))
    (tmp_path / "config.json").write_text("[broken")
    assert code_repositories(tmp_path) == found


def test_code_that_names_its_own_repository_is_taken_from_the_models_commit(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "o/n--own.A"}}))
    assert pinned_to(Consent(), "o/n", COMMIT, tmp_path) == Consent(COMMIT)
    assert pinned_to(Consent(), "o/other", COMMIT, tmp_path) == Consent()
    assert pinned_to(Consent("d" * 40), "o/n", COMMIT, tmp_path) == Consent("d" * 40)


REFUSED = [
    ({}, "`revision` must be a whole commit of 40 digits, not None"),
    ({"revision": "main"}, "`revision` must be a whole commit"),
    ({"revision": COMMIT[:7]}, "`revision` must be a whole commit"),
    ({"revision": COMMIT, "code_revision": "v1"}, "`code_revision` must be a whole commit"),
    ({"revision": COMMIT, "engine": "onnx"}, "leave the engine out"),
    ({"revision": COMMIT, "trust_remote_code": "yes"}, "write True, or leave it out"),
    ({"trust_remote_code": False, "code_revision": COMMIT}, "goes with `trust_remote_code=True` alone"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_consent_is_to_one_commit(tmp_path: Path, options: dict[str, Any], said: str):
    options = {"trust_remote_code": True, **options}
    with pytest.raises(ValueError, match="code") as caught:
        pipeline("text-classification", "o/n", **options)
    assert said in str(caught.value)
    arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
    for imports in ("hf_lambda", "transformers"):
        if imports == "transformers" and "engine" in options:
            continue
        (tmp_path / "script.py").write_text(
            f"from {imports} import pipeline\np = pipeline('ner', model='o/n', {arguments})\n"
            "def handler(event, context): return p(event['text'])\n"
        )
        with pytest.raises(ScriptError) as refused:
            read_scripts(tmp_path)
        assert said in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "from hf_lambda import pipeline\np = pipeline('ner', 'o/n', {})",
        "from transformers import pipeline\np = pipeline('ner', 'o/n', {})",
        "from transformers import AutoModelForTokenClassification as A\np = A.from_pretrained('o/n', {})",
    ],
)
def test_discovery_tells_whose_code_runs(tmp_path, text):
    given = f"revision='{COMMIT}', trust_remote_code=True, code_revision='{'d' * 40}'"
    (tmp_path / "script.py").write_text(
        text.format(given) + "\ndef handler(event, context): return p(event['text'])\n"
    )
    (script,) = read_scripts(tmp_path)
    plain = "hf_lambda" not in text
    assert script.pipelines == (
        Declared(
            "token-classification",
            "o/n",
            COMMIT,
            "torch" if plain else "auto",
            plain=plain,
            remote_code=True,
            code_revision="d" * 40,
        ),
    )
    assert script.image == "full"
