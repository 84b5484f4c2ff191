"""The promise, in containers: the warm-up reaches the Hub alone, the endpoints reach nothing and answer."""

import json
import shutil
import uuid

import pytest

from discovery import read_scripts
from local import models
from local.program.declare import declare as declare_program
from tests.container.support import BINARY, ROOT, Supervised

HUB_PORT = 8000


@pytest.fixture(scope="module")
def hub(engine, images, tmp_path_factory):
    """The embedded Hub in a container without network; what shares its network reaches it, and it alone."""
    built = ROOT / ".local/models"
    models.build(built)
    served = tmp_path_factory.mktemp("models")
    for organisation in (path for path in built.iterdir() if not path.name.startswith(".") and path.is_dir()):
        shutil.copytree(organisation, served / organisation.name)
    served.chmod(0o755)
    name = f"hf-lambda-test-hub-{uuid.uuid4().hex[:8]}"
    mounts = ["--volume", f"{ROOT / 'local'}:/srv/local:ro", "--volume", f"{served}:/models:ro"]
    command = ["-m", "local.hub", "--models", "/models", "--port", str(HUB_PORT)]
    sandbox = ["--network", "none", "--read-only", "--user", "54321:54321", "--env", "PYTHONPATH=/srv"]
    engine.run(
        "run",
        "--detach",
        "--name",
        name,
        *sandbox,
        *mounts,
        "--entrypoint",
        "python",
        images["full"],
        *command,
    )
    yield name, {str(path.parent.relative_to(served)) for path in served.glob("*/*/config.json")}
    engine.run("rm", "--force", name)


@pytest.fixture(scope="module")
def warmed(engine, images, tree, hub, tmp_path_factory):
    """Containers over a cache that the warm-up has filled, the program's functions, and the scripts."""
    name, served = hub
    folder = tmp_path_factory.mktemp("stack")
    (folder / "cache").mkdir()
    endpoint = {"warmup": {"HF_ENDPOINT": f"http://127.0.0.1:{HUB_PORT}/as/warmup"}}
    network = f"container:{name}"
    containers = Supervised(engine, folder / "cache", folder, BINARY, endpoint, network, images)
    containers.adopt_cache()
    # The warm-up itself reaches the Hub; through the relay, `make up CONTAINER=1` goes.
    (tree / "Pulumi.local.yaml").write_text("config:\n  hf-lambda:egress: nat\n")
    functions = {function.name: function for function in declare_program(tree).functions}
    scripts = {script.name: script for script in read_scripts(tree / "inference") if known(script, served)}
    wanted = {(each.model, each.revision): each for script in scripts.values() for each in script.pipelines}
    event = {"action": "warm", "models": [order(each) for each in wanted.values()]}
    report = ask(containers.start(functions["warmup"]), event)
    assert report["state"] == "done", report
    yield containers, functions, scripts
    containers.stop_all()
    containers.remove_all()


def test_every_endpoint_answers_without_a_network_from_a_prepared_model(warmed):
    containers, functions, scripts = warmed
    assert scripts.keys() >= {"sentiment", "summarization"}
    for name, script in scripts.items():
        assert containers.network_of(functions[name]) == "none"
        instance = containers.start(functions[name])
        answer = ask(instance, script.example)
        assert answer["statusCode"] == 200, (name, answer)
        if script.image == "slim":  # a plain script logs nothing, and runs torch
            assert engines(instance) == {"onnx"}, name


def test_the_sentiment_endpoint_tells_happy_from_unhappy(warmed):
    containers, functions, _ = warmed
    instance = containers.start(functions["sentiment"])
    bodies = ask(instance, {"text": ["I love this", "This is terrible"]})["body"]
    assert [body["label"] for body in bodies] == ["POSITIVE", "NEGATIVE"]


def test_serving_leaves_no_trace_in_the_container_but_in_tmp(warmed):
    containers, functions, scripts = warmed
    with_root = WritableRoot(*(getattr(containers, name) for name in Supervised.__dataclass_fields__))
    instance = with_root.start(functions["sentiment"])
    assert ask(instance, scripts["sentiment"].example)["statusCode"] == 200
    lines = containers.engine.text("diff", instance.name).splitlines()
    mounts = ("/mnt", "/usr", "/usr/local", "/usr/local/bin", "/usr/local/bin/aws-lambda-rie", "/tmp")
    assert [line for line in lines if line[2:] not in mounts and not line[2:].startswith("/mnt/")] == []


def test_a_killed_container_s_successor_serves_on_from_the_same_cache(warmed):
    containers, functions, scripts = warmed
    first = containers.start(functions["sentiment"])
    assert ask(first, scripts["sentiment"].example)["statusCode"] == 200
    containers.engine.run("kill", first.name)
    second = containers.start(functions["sentiment"])
    assert ask(second, scripts["sentiment"].example)["statusCode"] == 200


class WritableRoot(Supervised):
    """As Supervised, with a root file system that would take what is written to it."""

    def arguments(self, function, name, ports):
        return [
            argument for argument in super().arguments(function, name, ports) if argument != "--read-only"
        ]


def ask(instance, event):
    return json.loads(instance.invoke(json.dumps(event).encode()).payload)


def engines(instance):
    """Kinds of engine that the log of an instance names."""
    lines = [
        line for line in instance.log.path.read_text().splitlines() if line.startswith('{"event": "request"')
    ]
    return {str(json.loads(line)["engine"]).partition("-")[0] for line in lines}


def known(script, served):
    return bool(script.pipelines) and all(each.model in served for each in script.pipelines)


def order(declared):
    names = ("model", "revision", "task", "engine", "precision")
    return {name: getattr(declared, name) for name in names}
