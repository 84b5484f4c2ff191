"""Egress relay: a function with the Hub fills the bucket, one without takes models from there."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from hf_lambda.manifest import repo_folder
from local.hub import Hub, serve
from tests.warmup.lambda_api import Api, serve_functions
from tests.warmup.s3 import serve_s3, variables
from tests.warmup.support import KEY, SNAPSHOT_BYTES, TINY, WEIGHT_BYTES, Context, Warming, run
from warmup.worker.handler import handler
from warmup.worker.relay_handler import handler as relay_handler

BUCKET = "staging"
FOLDER = repo_folder("org/tiny")


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with serve_s3() as url:
        yield url


class Relayed:
    """A stack whose warm-up has the bucket, and whose relay has the Hub too."""

    def __init__(self, warming: Warming, s3: Any, api: Api) -> None:
        self.warming, self.s3, self.api, self.context = warming, s3, api, Context()

    def relay(self, action: str = "fetch", *models: dict[str, Any], **event: Any) -> dict[str, Any]:
        document = {"action": action, "models": [*(models or (TINY,))], **event}
        return relay_handler(document, self.context)

    def warm(self, *models: dict[str, Any], **event: Any) -> dict[str, Any]:
        return self.warming.warm(*models, **event)

    def keys(self, prefix: str = FOLDER) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {entry["Key"].removeprefix(f"{FOLDER}/") for entry in found}

    def object(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def blobs(self) -> set[str]:
        return {key.removeprefix("blobs/") for key in self.keys(f"{FOLDER}/blobs/")}


@pytest.fixture
def stack(
    warming: Warming, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Relayed]:
    def warmup(event: Any) -> Any:
        return handler(event, warming.context)

    of_stack = {"STAGING_BUCKET": BUCKET, "RELAYED": "1", "RELAY_STORAGE_MB": "512"}
    for name, value in {**variables(s3_url), **of_stack}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "scratch"))
    monkeypatch.setattr("warmup.worker.bucket.POLL_SECONDS", 0.01)
    (tmp_path / "scratch").mkdir()
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    with serve_functions(Api({"warmup": warmup})) as api:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", api.url)
        monkeypatch.setenv("WARMUP_FUNCTION", api.arn("warmup"))
        yield Relayed(warming, s3, api)
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])


def test_a_model_goes_from_the_hub_to_the_bucket_to_the_cache_and_leaves_nothing_staged(
    stack: Relayed, models: Path
) -> None:
    state = stack.relay()
    assert state["state"] == "done", state
    result = state["models"][KEY]["result"]
    assert (result["files"], result["bytes"], result["relayed_bytes"]) == (3, SNAPSHOT_BYTES, SNAPSHOT_BYTES)
    assert len(stack.blobs()) == 3
    stack.warming.asked()
    assert stack.warm()["state"] == "done"
    assert stack.warming.asked() == []
    whole = (models / "org" / "tiny" / "model.safetensors").read_bytes()
    assert stack.warming.file("model.safetensors").read_bytes() == whole
    assert stack.blobs() == set()


def test_the_warm_up_begins_with_the_first_file_and_waits_for_the_rest(stack: Relayed) -> None:
    thread, states = run(lambda: stack.warm(relay="r"))
    wait_for(lambda: stack.warming.cache.joinpath("jobs").is_dir())
    stack.relay(job="r-1")
    thread.join()
    assert states[0]["state"] == "done", states
    assert stack.warming.manifest() is not None and stack.blobs() == set()


def test_what_the_cache_has_is_not_relayed_again(stack: Relayed) -> None:
    stack.relay()
    stack.warm()
    assert stack.relay()["models"][KEY]["result"]["relayed_bytes"] == 0
    assert stack.blobs() == set()
    stack.warming.file("model.safetensors").resolve().write_bytes(b"\0" * WEIGHT_BYTES)
    assert stack.relay()["models"][KEY]["result"]["relayed_bytes"] == WEIGHT_BYTES
    assert stack.warm()["state"] == "done"


def test_what_the_bucket_holds_is_not_relayed_again_but_by_its_content_alone(
    stack: Relayed, models: Path
) -> None:
    stack.relay()
    assert stack.relay()["models"][KEY]["result"]["relayed_bytes"] == 0
    name = hashlib.sha256((models / "org" / "tiny" / "model.safetensors").read_bytes()).hexdigest()
    stack.s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/blobs/{name}", Body=b"\0" * WEIGHT_BYTES)
    assert stack.relay()["models"][KEY]["result"]["relayed_bytes"] == WEIGHT_BYTES
    assert stack.warm()["state"] == "done"


def wait_for(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never came")


def test_a_file_that_is_larger_than_tmp_is_refused_with_both_numbers(
    stack: Relayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.worker.relay_handler._OTHER_FILES_BYTES", (512 << 20) - WEIGHT_BYTES + 1)
    error = stack.relay()["models"][KEY]["error"]
    assert error["kind"] == "too large"
    assert f"{WEIGHT_BYTES:,} bytes" in error["message"] and f"{WEIGHT_BYTES - 1:,}" in error["message"]
    assert "relayStorageMb" in error["message"]
    assert stack.blobs() == set()


def test_room_for_one_file_at_a_time_is_enough(stack: Relayed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmup.worker.relay_handler._OTHER_FILES_BYTES", (512 << 20) - WEIGHT_BYTES)
    assert stack.relay()["state"] == "done"
    assert len(stack.blobs()) == 3


def test_nothing_stays_in_tmp(stack: Relayed, tmp_path: Path) -> None:
    left = tmp_path / "scratch" / "relay" / "of a killed run"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"x")
    stack.relay()
    assert [*(tmp_path / "scratch").iterdir()] == []


def test_the_deadline_stops_it_with_what_is_done_and_the_next_call_goes_on(stack: Relayed) -> None:
    stack.context = Context(lambda: 900_000 if len(stack.blobs()) < 1 else 0)
    state = stack.relay(job="r-1")
    assert state["state"] == "incomplete", state
    assert json.loads(stack.object("jobs/r-1.json"))["state"] == "incomplete"
    staged = len(stack.blobs())
    assert staged >= 1
    stack.context = Context()
    assert stack.relay(job="r-2")["state"] == "done"
    assert stack.warm(relay="r")["state"] == "done"


def test_what_the_relay_fails_with_the_warm_up_says_at_once(stack: Relayed) -> None:
    model = {**TINY, "model": "org/none"}
    thread, states = run(lambda: stack.warm(model, relay="r"))
    failed = stack.relay("fetch", model, job="r-1")["models"]["org/none@main"]["error"]
    thread.join()
    assert failed["kind"] == "not found"
    assert states[0]["models"]["org/none@main"]["error"] == failed


def test_an_old_ref_is_not_taken_for_the_relays_of_now(stack: Relayed, models: Path) -> None:
    stack.relay()
    stack.warm()
    (models / "org" / "tiny" / "config.json").write_text('{"model_type": "bert", "seed": 99}')
    thread, states = run(lambda: stack.warm(relay="new"))
    stack.relay(job="new-1")
    thread.join()
    assert states[0]["state"] == "done"
    assert '"seed": 99' in stack.warming.file("config.json").read_text()


def test_a_pinned_model_that_is_complete_asks_no_bucket(
    stack: Relayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.relay()
    stack.warm()
    manifest = stack.warming.manifest()
    assert manifest is not None
    pinned = {**TINY, "revision": manifest.commit}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setattr("warmup.worker.bucket.BucketSource.release", lambda *_: None)
    assert stack.warm(pinned, relay="never")["state"] == "done"


def test_told_to_warm_it_starts_the_warm_up_when_all_is_there(stack: Relayed) -> None:
    assert stack.relay("warm", job="deploy-1")["state"] == "done"
    stack.api.join()
    assert stack.warming.manifest() is not None and stack.blobs() == set()


def test_a_gated_model_comes_by_the_token_of_the_relay_and_without_it_both_say_why(
    stack: Relayed, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = Hub(models, gated=["org/tiny"], tokens={"hf_of_the_relay": ["org/tiny"]})
    with serve(gated) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        refused = stack.relay(job="without-1")["models"][KEY]["error"]
        assert refused["kind"] == "gated" and "hfToken" in refused["message"]
        assert stack.warm(relay="without")["models"][KEY]["error"] == refused
        monkeypatch.setenv("HF_TOKEN", "hf_of_the_relay")
        assert stack.relay(job="with-1")["state"] == "done"
        monkeypatch.delenv("HF_TOKEN")
        gated.asked.clear()
        assert stack.warm(relay="with")["state"] == "done"
        assert not gated.asked and stack.blobs() == set()
    left = [stack.object(each) for each in ("jobs/without-1.json", "jobs/with-1.json")]
    assert not any(b"hf_of_the_relay" in each for each in left)


def test_a_plan_puts_no_file_into_the_bucket(stack: Relayed) -> None:
    plan = stack.relay("plan")["models"][KEY]["result"]
    assert (plan["bytes"], plan["missing_bytes"]) == (SNAPSHOT_BYTES, SNAPSHOT_BYTES)
    assert stack.blobs() == set()


def test_jobs_are_read_from_the_bucket(stack: Relayed) -> None:
    stack.relay(job="r-1")
    jobs = relay_handler({"action": "status", "jobs": ["r-1", "r-2"]}, None)["jobs"]
    assert (jobs["r-1"]["state"], jobs["r-2"]["state"]) == ("done", "unknown")


def test_a_warm_up_whose_relay_is_gone_says_what_to_run(
    stack: Relayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.worker.bucket.RELAY_GONE_SECONDS", 0.0)
    error = stack.warm(relay="r")["models"][KEY]["error"]
    assert error["kind"] == "not staged" and "python -m warmup" in error["message"]


def test_a_shape_that_is_no_request_for_it_is_refused(stack: Relayed) -> None:
    for action in ("verify", "prepare", "prune"):
        assert stack.relay(action)["error"]["kind"] == "usage"
    assert (
        relay_handler({"action": "fetch", "models": [TINY], "job": "../x"}, None)["error"]["kind"] == "usage"
    )
