"""Models that become part of an image: what is fetched and prepared for it is what a warm-up leaves."""

from __future__ import annotations

import errno
import json
import os
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from discovery import read_scripts
from hf_lambda.pipeline import Pipeline
from infra.models import check_models
from local.hub import gated as gated_answer
from tests.hf_lambda.test_static_embedding import REPOSITORIES
from tests.warmup.support import Warming
from warmup.__main__ import main
from warmup.prepare import prepare
from warmup.protocol.reports import FetchReport, WarmReport

ROOT = Path(__file__).parents[2]
SCRIPT = """from hf_lambda import endpoint, pipeline

embed = pipeline("feature-extraction", model="org/{model}", engine="onnx", pooling="auto")


@endpoint
def handler(text: str):
    return embed(text)
"""
OF_FILES = """from huggingface_hub import snapshot_download

folder = snapshot_download("org/plain", allow_patterns={patterns})


def handler(event, context):
    return folder
"""
MOVING = ("seconds", "peak_mb", "prepared_at", "warmed_at")
"""Of two runs of the same, what differs."""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    for name in ("plain", "normalized"):
        REPOSITORIES[name](root / "org" / name)
    return root


@pytest.fixture
def into(tmp_path: Path, warming: Warming, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `fetch` is to bring the models of two scripts; the Hub is that of `warming`."""
    monkeypatch.setattr("warmup.worker.warm.prepare", partial(prepare, isolated=False))
    monkeypatch.setattr(os, "environ", {**os.environ})
    for name in ("plain", "normalized"):
        (tmp_path / "scripts" / f"{name}.py").write_text(SCRIPT.format(model=name))
    return tmp_path / "build" / "models"


def fetch(into: Path, *arguments: str) -> int:
    return main(["fetch", "--into", str(into), "--scripts", str(into.parents[1] / "scripts"), *arguments])


def prepare_folder(folder: Path, endpoint: str, scripts: Path) -> int:
    arguments = ["--folder", str(folder), "--endpoint", endpoint, "--memory-mb", "512"]
    return main(["prepare", *arguments, "--scripts", str(scripts)])


def said(manifest: Path) -> dict[str, Any]:
    document = json.loads(manifest.read_text())
    entries = [{k: v for k, v in each.items() if k not in MOVING} for each in document["prepared"]]
    return {**{k: v for k, v in document.items() if k not in MOVING}, "prepared": entries}


def content(folder: Path) -> dict[str, bytes]:
    """Of every file, but those that say when they were made."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def sent(into: Path) -> dict[Path, int]:
    """What goes to the builder of each endpoint's folder, with the time of its last change."""
    lines = (ROOT / "inference/models.Dockerfile.dockerignore").read_text().splitlines()
    ignored = {line.removeprefix("**/") for line in lines if line and not line.startswith("#")}
    return {
        path: path.lstat().st_mtime_ns
        for folder in into.iterdir()
        for path in folder.rglob("*")
        if path.is_file() and not ignored & {*path.relative_to(folder).parts}
    }


def test_what_is_fetched_is_told_as_json_too(into: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(into, "--endpoint", "plain", "--json") == 0
    said = capsys.readouterr().out
    report = FetchReport.from_json(json.loads(said[said.index("{\n") :]))  # after what the warm-up here logs
    assert report.into == str(into) and [*report.endpoints] == ["plain"]
    (model,) = report.endpoints["plain"]
    assert model.repo_id == "org/plain" and len(model.commit) == 40
    (snapshot,) = (into / "plain").glob("**/snapshots/*")
    files = [path for path in snapshot.rglob("*") if path.is_file()]
    assert (model.files, model.bytes) == (len(files), sum(path.stat().st_size for path in files))


def test_what_is_fetched_and_prepared_is_what_a_warm_up_leaves_and_answers_without_hub_or_token(
    into: Path, warming: Warming, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"model": "org/plain", "revision": None, "task": "feature-extraction", "engine": "onnx"}
    assert warming.warm(asked)["state"] == "done"
    assert fetch(into, "--endpoint", "plain") == 0
    assert not (into / "normalized").exists()
    image = tmp_path / "image"  # another place, as in the image
    shutil.copytree(into / "plain", image, symlinks=True)
    before = len(warming.hub.requests)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert prepare_folder(image, "plain", tmp_path / "scripts") == 0
    assert len(warming.hub.requests) == before
    (manifest,) = image.glob("manifests/*/*.json")
    assert said(manifest) == said(warming.cache / manifest.relative_to(image))
    assert content(image / "hub") == content(warming.cache / "hub")
    assert content(image / "prepared") == content(warming.cache / "prepared")
    report = WarmReport.from_json(json.loads((image / "report.json").read_text()))
    assert [model.repo_id for model in report.warmup] == ["org/plain"]
    assert report.warmup[0].prepared and not report.errors
    served = Pipeline(
        "feature-extraction", "org/plain", None, {"engine": "onnx"}, {"MODEL_CACHE": str(image)}
    )
    assert len(served("a train", pooling="auto")) == 8


def test_a_second_fetch_changes_no_file_so_that_no_image_is_built_again(into: Path) -> None:
    assert fetch(into) == 0
    before = sent(into)
    assert {path.relative_to(into).parts[0] for path in before} == {"plain", "normalized"}
    assert fetch(into) == 0
    assert sent(into) == before


def test_another_machine_brings_the_same_so_that_no_image_is_built_again(into: Path) -> None:
    assert fetch(into) == 0
    there = into.parents[1] / "there" / "models"
    scripts = ["--scripts", str(into.parents[1] / "scripts")]
    assert main(["fetch", "--into", str(there), *scripts]) == 0
    here = {path.relative_to(into): path.read_bytes() for path in sent(into)}
    assert {path.relative_to(there): path.read_bytes() for path in sent(there)} == here
    for manifest in into.glob("*/manifests/*/*.json"):
        assert json.loads(manifest.read_text())["warmed_at"] == ""


def test_what_a_script_no_longer_uses_leaves_its_folder(into: Path) -> None:
    assert fetch(into, "--endpoint", "plain") == 0
    script = into.parents[1] / "scripts" / "plain.py"
    script.write_text(SCRIPT.format(model="normalized"))
    assert fetch(into, "--endpoint", "plain") == 0
    assert {path.name for path in (into / "plain" / "hub").glob("models--*")} == {"models--org--normalized"}


def test_a_script_that_wants_more_than_was_fetched_for_it_stops_the_deployment(into: Path) -> None:
    script = into.parents[1] / "scripts" / "plain.py"
    script.write_text(OF_FILES.format(patterns='["modules.json"]'))
    assert fetch(into, "--endpoint", "plain") == 0
    check(into)
    script.write_text(OF_FILES.format(patterns='["modules.json", "*.safetensors"]'))
    lacking = r"build/models/plain has not org/plain@main\n.*--endpoint plain"
    with pytest.raises(pulumi.RunError, match=lacking):
        check(into)
    assert fetch(into, "--endpoint", "plain") == 0
    check(into)
    script.write_text(OF_FILES.format(patterns='["modules.json", "nothing-like-it.*"]'))
    check(into)  # what fits is there
    script.write_text(OF_FILES.format(patterns='["nothing-like-it.*"]'))
    with pytest.raises(pulumi.RunError, match="--endpoint plain"):
        check(into)


def check(into: Path) -> None:
    """What the program asks before it builds, where `plain` alone has storage image."""
    root = into.parents[1]
    stack: Any = SimpleNamespace(in_image=("plain",))
    check_models(stack, read_scripts(root / "scripts"), root)


@pytest.mark.parametrize("place", ["", "plain"])
def test_something_else_in_the_place_of_a_folder_is_named(
    into: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    taken = into / place
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    assert fetch(into, "--endpoint", "plain") == 1
    said = capsys.readouterr().err
    assert str(taken) in said and "remove what is in its place" in said
    assert taken.read_text() == "mine"


def test_what_the_hub_says_no_to_is_for_whoever_runs_the_command_to_mend(
    into: Path, warming: Warming, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.add.command._HUB_PATIENCE_S", 0.05)
    warming.hub.fail("/api/models/org/plain*", gated_answer("org/plain", status=401), times=1)
    assert fetch(into, "--endpoint", "plain") == 1
    gated = capsys.readouterr().err
    assert fetch(into, "--endpoint", "plain", "--hub", "http://127.0.0.1:9") == 1
    unreached = capsys.readouterr().err
    assert "org/plain is gated. Ask for access at" in gated and "set a token: HF_TOKEN=<token>" in gated
    assert "cannot reach http://127.0.0.1:9" in unreached and "Check this machine's network" in unreached
    assert not [said for said in (gated, unreached) if "pulumi" in said or "egress" in said]


def test_a_disk_that_is_too_small_or_fills_up_is_said_and_what_to_do(
    into: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("warmup.worker.fetch.shutil.disk_usage", lambda path: SimpleNamespace(free=10))
        assert fetch(into, "--endpoint", "plain") == 1
    said = capsys.readouterr().err
    assert "org/plain needs" in said and "has 10 free. Make room, or fetch to another disk" in said
    assert "prune" not in said

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("warmup.in_image.fetch.publish", full)
        assert fetch(into, "--endpoint", "plain") == 1
    assert f"the disk of {into / 'plain'} is full. Make room" in capsys.readouterr().err
    assert fetch(into, "--endpoint", "plain") == 0


def test_a_file_that_was_changed_on_its_way_into_the_image_ends_the_build(
    into: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(into, "--endpoint", "plain") == 0
    (weights,) = (into / "plain").glob("hub/*/snapshots/*/**/*.safetensors")
    weights.resolve().write_bytes(b"x" + weights.read_bytes()[1:])
    assert prepare_folder(into / "plain", "plain", into.parents[1] / "scripts") == 1
    errors = capsys.readouterr().err
    assert "safetensors" in errors and "python -m warmup fetch --endpoint plain" in errors


def test_a_folder_without_the_model_of_its_script_ends_the_build(
    into: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(into, "--endpoint", "normalized") == 0
    assert prepare_folder(into / "normalized", "plain", into.parents[1] / "scripts") == 1
    assert "org/plain@main is cold" in capsys.readouterr().err


def test_a_script_that_is_not_there_is_a_mistake_of_usage(
    into: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(into, "--endpoint", "palin") == 2
    assert "there are normalized, plain" in capsys.readouterr().err
