"""Models of one's own buckets come beside the scripts, whole, and only what has changed comes again."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discovery import read_scripts
from tests.warmup.s3 import own_bucket, serve_s3, variables
from tests.warmup.support import SNAPSHOT_BYTES, Warming, model_folder
from warmup.cli.access import Access
from warmup.cli.command import Command
from warmup.cli.display import display
from warmup.cli.own_bucket import bring, remove_unused
from warmup.protocol.answers import ModelProgress
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.outputs import StackOutputs
from warmup.worker.folder import FolderSource, folder_of

ADDRESS = "s3://own/models/mine"
MINE = {"model": ADDRESS, "task": "text-classification", "engine": "torch"}


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in variables(s3_url).items():
        monkeypatch.setenv(name, value)
    with own_bucket("own") as client:
        yield client


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    return tmp_path / "scripts"


def put(s3: Any, prefix: str, folder: Path) -> None:
    for path in folder.rglob("*"):
        s3.upload_file(str(path), "own", f"{prefix}/{path.relative_to(folder).as_posix()}")


def brought(scripts: Path, address: str = ADDRESS) -> list[ModelProgress]:
    seen: list[ModelProgress] = []
    bring(address, scripts, Access("us-east-1"), seen.append)
    return seen


def files(scripts: Path, address: str = ADDRESS) -> dict[str, bytes]:
    folder = folder_of(scripts, address)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


def test_a_prefix_is_brought_and_warmed_as_the_folder_that_was_put_there(
    s3: Any, scripts: Path, warming: Warming, tmp_path: Path
) -> None:
    own = model_folder(tmp_path / "scripts/models/mine", seed=3)
    put(s3, "models/mine", own)
    put(s3, "models/mine-too", model_folder(tmp_path / "other", seed=4))
    s3.put_object(Bucket="own", Key="models/mine/", Body=b"")  # what consoles make for a folder
    seen = brought(scripts)
    total = sum(path.stat().st_size for path in own.iterdir())
    assert seen[-1] == ModelProgress(phase="bring", bytes_done=total, bytes_total=total)
    assert files(scripts) == {path.name: path.read_bytes() for path in own.iterdir()}
    assert warming.warm(MINE)["state"] == "done"
    warming.warm({**MINE, "model": "./models/mine"})
    ours, beside = warming.manifest(ADDRESS), warming.manifest("./models/mine")
    assert ours and beside and ours.commit == beside.commit and ours.bytes == SNAPSHOT_BYTES
    assert not warming.hub.requests
    assert warming.invoke("verify", MINE)["state"] == "done"
    warming.invoke("prune", {**MINE, "model": "./models/mine"}, only=ADDRESS)
    assert warming.manifest(ADDRESS) is None and warming.manifest("./models/mine")


def test_only_what_has_changed_comes_again_and_what_has_gone_goes(
    s3: Any, scripts: Path, tmp_path: Path
) -> None:
    put(s3, "models/mine", model_folder(tmp_path / "own", seed=3))
    brought(scripts)
    kept = folder_of(scripts, ADDRESS) / "model.safetensors"
    before = kept.stat().st_mtime_ns
    folder_of(scripts, ADDRESS).joinpath("tokenizer.json").write_text("damaged")
    s3.put_object(Bucket="own", Key="models/mine/config.json", Body=b'{"model_type": "new!"}')
    s3.delete_object(Bucket="own", Key="models/mine/tf_model.h5")
    brought(scripts)
    found = files(scripts)
    assert found["config.json"] == b'{"model_type": "new!"}' and found["tokenizer.json"] == b"{}"
    assert "tf_model.h5" not in found and kept.stat().st_mtime_ns == before


def test_the_address_of_an_archive_of_sagemaker_is_that_of_a_model(
    s3: Any, scripts: Path, tmp_path: Path
) -> None:
    own = model_folder(tmp_path / "scripts/own", seed=3)
    archive = tmp_path / "packed.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for path in own.iterdir():
            packed.add(path, path.name)
    s3.upload_file(str(archive), "own", "jobs/1/output/model.tar.gz")
    s3.put_object(Bucket="own", Key="jobs/1/output/model.tar.gz.old", Body=b"")
    address, stop = "s3://own/jobs/1/output/model.tar.gz", threading.Event()
    brought(scripts, address)
    source = FolderSource(scripts)
    assert source.resolve(address, None, stop) == source.resolve("./own", None, stop)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("models/mine/a/../../../evil", "is not one inside a repository. Rename it"),
        ("models/mine//evil", "is not one inside a repository. Rename it"),
        ("models/mine/a\\evil", "is not one inside a repository. Rename it"),
        ("models/mine/" + "a" * 250, "is too long. Rename it"),
        ("models/mine/config.json/evil", "config.json"),
    ],
)
def test_a_name_that_is_none_on_a_disk_is_refused(
    s3: Any, scripts: Path, tmp_path: Path, key: str, expected: str
) -> None:
    s3.put_object(Bucket="own", Key="models/mine/config.json", Body=b"{}")
    s3.put_object(Bucket="own", Key=key, Body=b"x")
    with pytest.raises(WarmupError) as raised:
        brought(scripts)
    assert raised.value.kind is ErrorKind.BUCKET and expected in str(raised.value)
    assert not list(tmp_path.rglob("evil*"))


def test_more_than_a_model_has_is_refused_before_anything_comes(
    s3: Any, scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.cli.own_bucket.MOST_FILES", 1)
    for name in ("a", "b"):
        s3.put_object(Bucket="own", Key=f"models/mine/{name}", Body=b"x")
    with pytest.raises(WarmupError, match=r"holds more than 1 objects\. Name the prefix of one model"):
        brought(scripts)
    assert not scripts.exists()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ADDRESS, f"{ADDRESS} holds nothing. Put there what save_pretrained writes"),
        ("s3://nowhere/mine", "s3://nowhere/mine/: NoSuchBucket. There is no such bucket: correct"),
        ("s3://own/a.tar.gz", "s3://own/a.tar.gz holds nothing"),
    ],
)
def test_what_is_not_there_is_told(s3: Any, scripts: Path, address: str, expected: str) -> None:
    with pytest.raises(WarmupError) as raised:
        brought(scripts, address)
    assert expected in str(raised.value)


def test_without_credentials_it_says_how_to_sign_in(
    s3: Any, scripts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WarmupError, match="no usable AWS credentials") as raised:
        brought(scripts)
    assert raised.value.kind is ErrorKind.CREDENTIALS


def test_what_no_script_names_any_more_goes(s3: Any, scripts: Path, tmp_path: Path) -> None:
    for prefix in ("models/mine", "models/old"):
        put(s3, prefix, model_folder(tmp_path / prefix, seed=3))
        brought(scripts, f"s3://own/{prefix}")
    remove_unused(scripts, {ADDRESS, "org/name"})
    assert files(scripts) and not files(scripts, "s3://own/models/old")


class Client:
    """A stack whose warm-up is never asked."""

    relay = None
    access = Access("us-east-1")

    def __init__(self, stack: str) -> None:
        self.outputs = StackOutputs.from_json(
            {"stack": stack, "region": "us-east-1", "warmupArn": "arn", "functions": {}}
        )


def test_a_stack_without_a_staging_bucket_is_told_before_anything_comes(s3: Any, scripts: Path) -> None:
    scripts.mkdir()
    call = f'pipeline("text-classification", model="{ADDRESS}")'
    script = f"from hf_lambda import endpoint, pipeline\nrun = {call}\n"
    script += "\n\n@endpoint\ndef handler(text: str):\n    return run(text)\n"
    (scripts / "mine.py").write_text(script)
    client: Any = Client("dev")
    command = Command(client, read_scripts(scripts), only=None, parallel=1)
    with display(io.StringIO()) as shown:
        outcome = command.plan(shown)
    (failure,) = outcome.failures
    assert f"{ADDRESS} comes through the staging bucket: pulumi config set egress none" in failure
    assert not (scripts / ".s3").exists()
