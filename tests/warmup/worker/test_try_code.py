"""Code of repositories: refused without consent, else fetched with its commit, listed, and kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_lambda.manifest import CodeEntry
from local.hub import Hub
from tests import tiny_encoders
from tests.warmup.support import Context, Warming
from warmup.worker import try_code

COMMIT, CODE_COMMIT = "a" * 40, "b" * 40
MODEL = {"model": "org/tiny", "revision": COMMIT, "task": "text-classification", "engine": "torch"}
TRUSTED = {**MODEL, "remote_code": True, "code_revision": CODE_COMMIT}


@pytest.fixture
def models(models: Path) -> Path:
    """org/tiny is of a type of its own, whose code org/code has."""
    reference = {"AutoConfig": "org/code--own.Own", "AutoModel": "org/code--own.OwnModel"}
    config = {"model_type": "own", "auto_map": reference}
    (models / "org" / "tiny" / "config.json").write_text(json.dumps(config))
    code = models / "org" / "code"
    code.mkdir()
    (code / "own.py").write_text("import helper\n")
    (code / "helper.py").write_text("VALUE = 1\n")
    (code / "model.safetensors").write_bytes(b"not needed")
    return models


def test_code_of_another_repository_comes_with_its_commit(warming: Warming, hub: Hub) -> None:
    state = warming.warm(TRUSTED)
    assert state["state"] == "done", state
    (progress,) = [each for each in state["models"].values() if "result" in each]
    assert progress["result"]["code"] == [{"model": "org/code", "commit": CODE_COMMIT}]
    manifest = warming.manifest("org/tiny", COMMIT)
    assert manifest is not None and manifest.code == (CodeEntry("org/code", CODE_COMMIT),)
    snapshot = warming.cache / "hub" / "models--org--code" / "snapshots" / CODE_COMMIT
    assert {path.name for path in snapshot.iterdir()} == {"own.py", "helper.py"}


def test_a_commit_that_the_script_does_not_name_is_told(warming: Warming) -> None:
    error = warming.error({**MODEL, "remote_code": True})
    assert error["kind"] == "remote code"
    assert "takes its code from org/code" in error["message"] and 'code_revision="' in error["message"]
    assert warming.manifest("org/tiny", COMMIT) is None


def test_prune_keeps_the_code_and_status_does_not_call_it_unused(warming: Warming) -> None:
    warming.warm(TRUSTED)
    pruned = warming.invoke("prune", TRUSTED)["models"]["cache"]["result"]
    assert pruned["removed"] == []
    assert warming.invoke("status", TRUSTED)["unused"] == []
    gone = warming.invoke("prune", {**MODEL, "model": "org/other", "revision": None})
    assert "hub/models--org--code" in gone["models"]["cache"]["result"]["removed"]


def test_code_beside_the_weights_is_listed_at_the_models_commit(warming: Warming, models: Path) -> None:
    (models / "org" / "other" / "own.py").write_text("x = 1\n")
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (models / "org" / "other" / "config.json").write_text(json.dumps(config))
    warming.warm({**MODEL, "model": "org/other", "remote_code": True})
    manifest = warming.manifest("org/other", COMMIT)
    assert manifest is not None and manifest.code == (CodeEntry("org/other", COMMIT),)


@pytest.mark.slow
def test_without_consent_nothing_of_it_is_fetched_nor_published_nor_run(
    warming: Warming, models: Path
) -> None:
    (models / "org" / "tiny" / "model.safetensors").write_bytes(EMPTY)
    (models / "org" / "tiny" / "tokenizer.json").write_text("{}")
    error = warming.error(MODEL)
    assert error["kind"] == "remote code" and "trust_remote_code=True" in error["message"]
    assert not (warming.cache / "hub" / "models--org--code").exists()
    assert warming.manifest("org/tiny", COMMIT) is None


HEADER = b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
EMPTY = len(HEADER).to_bytes(8, "little") + HEADER


CODE = """
import os, sys
from transformers import BertConfig, BertForSequenceClassification
SEEN = sorted(name for name in os.environ if name.startswith(("HF_TOKEN", "AWS_", "STAGING", "SECRET")))
INPUT = sys.stdin.read()
class OwnConfig(BertConfig):
    model_type = "own-kind"
class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
    def __init__(self, config):
        super().__init__(config)
        BODY
"""


@pytest.fixture
def own(models: Path, monkeypatch: pytest.MonkeyPatch):
    """`own(body)`: org/own, whose model runs `body` when it is made; the warm-up of it."""
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "STAGING_BUCKET", "SECRET_OF_OURS"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.delenv("STAGING_BUCKET")
    folder = tiny_encoders.build("bert", models / "org" / "own", labels=["NO", "YES"])
    tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"}
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "model_type": "own-kind", "auto_map": classes}))

    def write(body: str) -> dict[str, object]:
        (folder / "own.py").write_text(CODE.replace("BODY", body))
        return {**MODEL, "model": "org/own", "remote_code": True}

    return write


@pytest.mark.slow
def test_the_second_warm_up_says_that_the_code_loads_it(own, warming: Warming) -> None:
    model = own("assert not SEEN and not INPUT, (SEEN, INPUT)")
    warming.warm(model)
    before = sorted(warming.cache.rglob("*"))
    answer = try_code.handler({"action": "try", "models": [model]}, Context())
    assert answer == {"trials": [{"model": "org/own", "task": "text-classification", "error": None}]}
    assert sorted(warming.cache.rglob("*")) == before


@pytest.mark.slow
def test_the_second_warm_up_tells_why_it_does_not(own, warming: Warming) -> None:
    model = own("raise RuntimeError('needs a package')")
    warming.warm(model)
    (trial,) = try_code.handler({"action": "try", "models": [model]}, Context())["trials"]
    assert trial["error"] == "RuntimeError: needs a package"


def test_the_second_warm_up_does_nothing_else(warming: Warming) -> None:
    for event in ({"action": "warm", "models": [TRUSTED]}, {"action": "prune"}, {}):
        assert try_code.handler(event, Context())["error"]["kind"] == "usage"
    trials = try_code.handler({"action": "try", "models": [MODEL]}, Context())
    assert trials == {"trials": []}  # nobody consented
    (cold,) = try_code.handler({"action": "try", "models": [TRUSTED]}, Context())["trials"]
    assert "is not in the cache" in cold["error"]


def test_the_first_warm_up_never_tries_code(warming: Warming) -> None:
    state = warming.invoke("try", TRUSTED)
    assert (state["state"], state["error"]["kind"]) == ("failed", "usage")
