"""`storage: image`: the model is prepared while the image is built, and answers with nothing beside it."""

import json
import shutil

import pytest

from discovery import read_scripts
from local import models
from local.docker import images as building
from local.docker.engine import EngineError
from local.hub import Hub, serve
from local.program.declare import declare as declare_program
from tests.container.support import BINARY, ROOT, Supervised
from warmup.in_image.fetch import fetch_endpoint
from warmup.worker.hub import HubSource


@pytest.fixture(scope="module")
def fetched(tree, tmp_path_factory):
    """What `python -m warmup fetch` brings for sentiment, from the embedded Hub."""
    folder = tmp_path_factory.mktemp("fetched") / "sentiment"
    (script,) = (each for each in read_scripts(tree / "inference") if each.name == "sentiment")
    models.build(
        ROOT / ".local/models",
        stand_ins=[each for each in models.STAND_INS if each.repo_id == script.pipelines[0].model],
    )
    with serve(Hub(ROOT / ".local/models")) as running:
        fetch_endpoint(script, folder, HubSource(running.url, None, lambda text: None), lambda *_: None)
    return folder


@pytest.fixture(scope="module")
def function(tree):
    stack = tree / "Pulumi.local.yaml"
    stack.write_text("config:\n  endpoints: {sentiment: {storage: image, memoryMb: 1024}}\n")
    (found,) = (each for each in declare_program(tree).functions if each.name == "sentiment")
    stack.unlink()
    return found


@pytest.fixture(scope="module")
def build(engine, images, tree, function, tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")

    def run(folder):
        args = {**function.image_args, "BASE_IMAGE": images["slim"], "FULL_IMAGE": images["full"]}
        name = "hf-lambda-test:models-sentiment"
        return building.build_with_models(
            engine, "sentiment", folder, args, root=tree, name=name, log=logs / "models"
        )

    return run


def test_it_answers_without_a_cache_a_network_or_a_token(engine, images, build, fetched, function, tmp_path):
    image = build(fetched)
    labels = json.loads(engine.text("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels == {"com.amazonaws.lambda.feature.snapstart": "Allow"}
    own = {**images, "models-sentiment": image}
    containers = Supervised(engine, tmp_path / "none", tmp_path, BINARY, images=own)
    try:
        assert containers.network_of(function) == "none" and function.mount is None
        instance = containers.start(function)
        event = json.dumps({"text": ["I love this", "This is terrible"]}).encode()
        answer = json.loads(instance.invoke(event).payload)
        assert [each["label"] for each in answer["body"]] == ["POSITIVE", "NEGATIVE"], answer
        assert '"engine": "onnx' in instance.log.path.read_text()
    finally:
        containers.stop_all()
        containers.remove_all()
    reading = ["run", "--rm", "--network", "none", "--entrypoint", "cat", image, "/opt/models/report.json"]
    report = json.loads(engine.text(*reading))
    assert [model["prepared"][0]["head"] for model in report["warmup"]] == ["sequence-classification"]
    assert "errors" not in report


def test_a_file_that_is_not_what_the_hub_has_ends_the_build(build, fetched, tmp_path):
    damaged = tmp_path / "sentiment"
    shutil.copytree(fetched, damaged, symlinks=True)
    (weights,) = damaged.glob("hub/*/snapshots/*/*.safetensors")
    weights.resolve().write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(EngineError, match=r"model\.safetensors .*Fetch it again"):
        build(damaged)
