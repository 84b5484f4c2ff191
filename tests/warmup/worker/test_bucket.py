"""Egress none: the command puts models into a bucket, the Lambda takes them from there; no Hub in between."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hf_lambda.manifest import repo_folder
from tests.warmup.s3 import keys_of, own_bucket, serve_s3, variables
from tests.warmup.support import KEY, SNAPSHOT_BYTES, TINY, WEIGHT_BYTES, Warming, model_folder
from warmup.cli.access import Access
from warmup.cli.upload import upload_model
from warmup.protocol.answers import ModelProgress
from warmup.protocol.errors import WarmupError
from warmup.protocol.events import event_from_json
from warmup.protocol.models import ModelRequest, models_of_json
from warmup.worker.bucket import Bucket, BucketSource
from warmup.worker.folder import FolderSource
from warmup.worker.hub import HubSource
from warmup.worker.threads import Stopped

BUCKET = "staging"
FOLDER = repo_folder("org/tiny")


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in variables(s3_url).items():
        monkeypatch.setenv(name, value)
    with own_bucket(BUCKET) as client:
        yield client


@pytest.fixture
def staged(warming: Warming, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stages org/tiny from the Hub; the Lambda's side then has the bucket and no Hub."""
    hub_url, seen = warming.url, list[ModelProgress]()
    [model] = models_of_json([TINY])

    def run(model: ModelRequest = model) -> int:
        return upload_model(
            model,
            BUCKET,
            HubSource(hub_url, None, lambda note: None),
            tmp_path / "own",
            Access("us-east-1"),
            seen.append,
        )

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("STAGING_BUCKET", BUCKET)
    return SimpleNamespace(run=run, seen=seen)


def keys(client: Any) -> set[str]:
    return keys_of(client, BUCKET)


def test_a_staged_model_is_warmed_without_the_hub_and_looks_the_same(
    warming: Warming, staged: Any, models: Path
) -> None:
    assert staged.run() == SNAPSHOT_BYTES
    assert warming.warm()["state"] == "done"
    path = warming.file("model.safetensors")
    assert path.is_symlink() and not path.readlink().is_absolute()
    assert path.read_bytes() == (models / "org" / "tiny" / "model.safetensors").read_bytes()
    manifest = warming.manifest()
    assert manifest is not None and len(manifest.files) == 3
    assert (warming.cache / "hub" / FOLDER / "refs" / "main").read_text() == manifest.commit


def test_a_folder_beside_the_scripts_is_staged_as_a_model_of_the_hub(
    warming: Warming, staged: Any, tmp_path: Path
) -> None:
    own = model_folder(tmp_path / "desk/models/mine", seed=5)
    mine = {**TINY, "model": "./models/mine"}
    [model] = models_of_json([mine])
    access, cache = Access("us-east-1"), tmp_path / "own"
    upload_model(model, BUCKET, FolderSource(tmp_path / "desk"), cache, access, lambda _: None)
    assert warming.warm(mine)["state"] == "done"
    manifest = warming.manifest("./models/mine")
    assert manifest is not None
    snapshot = manifest.snapshot_path(warming.cache)
    assert (snapshot / "model.safetensors").read_bytes() == (own / "model.safetensors").read_bytes()


def test_what_the_bucket_has_is_not_sent_again(staged: Any, s3: Any) -> None:
    staged.run()
    assert staged.run() == 0
    s3.delete_object(Bucket=BUCKET, Key=next(key for key in keys(s3) if len(key.rsplit("/")[-1]) == 64))
    assert staged.run() == WEIGHT_BYTES


def test_progress_tells_download_and_upload_in_bytes(staged: Any) -> None:
    staged.run()
    phases = dict.fromkeys(progress.phase for progress in staged.seen)
    assert list(phases) == ["resolve", "check", "fetch", "upload"]
    whole = ModelProgress(phase="upload", bytes_done=SNAPSHOT_BYTES, bytes_total=SNAPSHOT_BYTES)
    assert staged.seen[-1] == whole


def test_a_damaged_upload_is_found_by_the_lambda(warming: Warming, staged: Any, s3: Any) -> None:
    staged.run()
    key = next(key for key in keys(s3) if len(key.rsplit("/")[-1]) == 64)
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * WEIGHT_BYTES)
    error = warming.error()
    assert error["kind"] == "damaged"
    assert warming.manifest() is None
    assert not any(name.endswith(".incomplete") for name in warming.blobs())


def test_a_cached_file_that_went_bad_is_copied_again(warming: Warming, staged: Any) -> None:
    staged.run()
    warming.warm()
    good = warming.file("model.safetensors").read_bytes()
    warming.file("model.safetensors").write_bytes(b"short")
    assert warming.warm()["state"] == "done"
    assert warming.file("model.safetensors").read_bytes() == good


def test_a_model_that_was_not_staged_says_what_to_run(warming: Warming, staged: Any) -> None:
    error = warming.error()
    assert error == {
        "kind": "not staged",
        "message": "org/tiny is not in s3://staging. `python -m warmup` puts it there.",
    }


def test_a_bucket_that_is_not_there_is_named_on_both_sides(
    warming: Warming, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGING_BUCKET", "no-such-bucket")
    assert warming.error()["message"].startswith(
        "s3://no-such-bucket/models--org--tiny/refs/main: NoSuchBucket"
    )
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "BUCKET", "no-such-bucket")
        _staging_fails(staged)


def _staging_fails(staged: Any) -> None:
    with pytest.raises(
        WarmupError, match=r"cannot upload org/tiny: s3://no-such-bucket.*NoSuchBucket.*s3:PutObject"
    ):
        staged.run()


def test_the_deadline_stops_a_copy_and_leaves_no_orphan(warming: Warming, staged: Any) -> None:
    from tests.warmup.support import Context

    staged.run()
    warming.context = Context(lambda: 900_000 if not (warming.cache / "hub").exists() else 0)
    state = warming.warm()
    assert state["state"] == "incomplete" and state["models"][KEY]["phase"] == "incomplete"
    warming.context = Context()
    assert warming.warm()["state"] == "done"


def test_a_copy_that_is_stopped_midway_leaves_nothing_behind(tmp_path: Path, staged: Any) -> None:
    staged.run()
    source, stop = BucketSource(Bucket(BUCKET)), threading.Event()
    commit = source.resolve("org/tiny", None, stop)
    [weights] = [file for file in source.tree("org/tiny", commit, stop) if file.sha256]
    stop.set()
    with pytest.raises(Stopped):
        source.download("org/tiny", commit, weights, tmp_path / "hub", lambda count: None, stop)
    assert [path for path in (tmp_path / "hub").rglob("*") if path.is_file()] == []


def test_the_command_stages_then_warms(
    warming: Warming, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    from tests.warmup.lambda_api import Api, serve_functions
    from tests.warmup.support import Context
    from warmup.__main__ import main
    from warmup.worker.handler import Environment, answer

    monkeypatch.setenv("WARMUP_STAGING_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr("warmup.cli.run_jobs.POLL_SECONDS", (0.01, 0.05))
    (tmp_path / "scripts" / "answer.py").write_text(
        'from hf_lambda import endpoint, pipeline\nrun = pipeline("text-classification", model="org/tiny", '
        'engine="torch")\n@endpoint\ndef handler(text: str): return run(text)\n'
    )
    environment = Environment.of(
        {"MODEL_CACHE": str(warming.cache), "STAGING_BUCKET": BUCKET, "LAMBDA_TASK_ROOT": "/x"}
    )
    functions = {
        "warmup": lambda event: answer(
            event_from_json(event), environment, lambda: Context().get_remaining_time_in_millis() / 1000
        ).to_json(),
        "answer": lambda event: {"statusCode": 200, "body": "yes"},
    }
    outputs = tmp_path / "outputs.json"
    with serve_functions(Api(functions)) as api:
        outputs.write_text(
            json.dumps(
                {
                    "warmupArn": api.arn("warmup"),
                    "functions": {"answer": api.arn("answer")},
                    "endpointUrl": api.url,
                    "stagingBucket": BUCKET,
                }
            )
        )
        code = main(["--outputs", str(outputs), "--scripts", str(tmp_path / "scripts")])
    assert code == 0, capfd.readouterr()
    assert "org/tiny@main: upload: upload" in capfd.readouterr().out
    assert warming.manifest() is not None
    assert f"{FOLDER}/refs/main" in keys(s3)
