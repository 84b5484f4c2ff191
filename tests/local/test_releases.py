"""Versions of a gated stack on one machine: each with the code that it was published with, run for real."""

import compileall
import json
from dataclasses import replace
from functools import partial

import pytest

from local.layout import Folder
from local.program.functions import Program
from local.releases import keep_alias, publish, read_aliases
from local.service.gateway import Gateway
from local.service.http_api import serve
from local.service.versions import Alias
from tests.local.conftest import CHECKOUT
from tests.local.functions_to_run import declare
from warmup.cli.access import Access
from warmup.cli.release import Releases, roll_back
from warmup.cli.stack import StackClient
from warmup.protocol.outputs import STACK_OUTPUTS, StackOutputs

SCRIPT = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'code %d'}\n"


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / ".local", tmp_path)
    folder.path.mkdir()
    for part in ("inference", "hf_lambda"):
        (tmp_path / part).mkdir(exist_ok=True)
    return folder


@pytest.fixture
def up(folder):
    """What `make up` declares once the script says `code`."""
    release = {"versions": {"probe": "1"}, "canary": 10, "canaryMinutes": 5}

    def publish_code(code, outputs=None):
        if code is not None:
            (folder.root / "inference/probe.py").write_text(SCRIPT % code)
        own = declare("warmup", command="warmup.worker.handler.handler")
        probe = declare()
        told = {"functions": {"probe": f"{probe.arn}:live"}, "warmupArn": own.arn, "release": release}
        releasing = declare(
            "release",
            command="warmup.worker.release_handler.handler",
            environment={STACK_OUTPUTS: json.dumps({"stack": "local", **told})},
            mount=None,
            root=str(folder.root),
        )
        program = Program((probe, own, releasing), {})
        return publish(replace(program, outputs={"release": release} if outputs is None else outputs), folder)

    return publish_code


def versions(program):
    return [each.version for each in program.functions if each.is_endpoint]


def test_what_did_not_change_is_no_new_version_and_old_ones_go(up, folder):
    assert versions(up(1)) == versions(up(1)) == ["1"]
    for code in range(2, 8):
        program = up(code)
    assert versions(program) == ["1", "4", "5", "6", "7"]  # the first serves
    assert {path.name for path in (folder.path / "versions").iterdir()} == {*versions(program)}
    keep_alias(folder, program.functions[0].function_name, Alias("live", "7"))
    assert versions(up(7)) == ["4", "5", "6", "7"]
    assert program.outputs["release"]["versions"] == {"probe": "7"}
    assert [each.name for each in program.functions if not each.is_endpoint] == ["warmup", "release"]
    told = json.loads(program.functions[-1].environment[STACK_OUTPUTS])
    assert told["release"] == program.outputs["release"]


def test_a_version_is_what_the_image_holds_compiled_and_without_the_models_beside_the_scripts(up, folder):
    inference = folder.root / "inference"
    for path in ("models/mine/model.safetensors", ".s3/models--a/modeling.py", "requirements.txt"):
        (inference / path).parent.mkdir(parents=True, exist_ok=True)
        (inference / path).write_text("1")
    (inference / "samples.jsonl").write_text("{}")
    (inference / "probe.py").write_text(SCRIPT % 1)
    compileall.compile_dir(inference, quiet=2)
    assert versions(up(1)) == ["1"]
    made = folder.path / "versions/1/inference"
    (compiled,) = (inference / "__pycache__").iterdir()
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} == {
        "probe.py",
        "samples.jsonl",
        f"__pycache__/{compiled.name}",
    }
    # Python takes what was compiled for a file with its time.
    assert int((made / "probe.py").stat().st_mtime) == int((inference / "probe.py").stat().st_mtime)
    (inference / "models/mine/model.safetensors").write_text("2")
    assert versions(up(1)) == ["1"]
    (inference / "samples.jsonl").write_text("[]")
    assert versions(up(1)) == ["1", "2"]


def test_what_is_kept_of_functions_with_their_variables_nobody_else_reads(up, folder):
    (folder.path / "versions.json").write_text("{}")  # as earlier releases wrote it
    up(1)
    assert (folder.path / "versions.json").stat().st_mode & 0o077 == 0


def test_without_the_gate_there_are_no_versions(up, folder):
    assert up(1, {}) == up(2, {})
    assert not (folder.path / "versions").exists()


@pytest.mark.slow
def test_after_a_deployment_the_function_that_releases_moves_the_alias_as_it_runs_in_its_image(
    emulators, up, folder
):
    for part in ("warmup", "discovery"):
        (folder.root / part).symlink_to(CHECKOUT / part)
    extra: dict[str, dict[str, str]] = {"release": {}}
    gateway_of = partial(Gateway, runtime=replace(emulators, root=folder.root, isolation="none", extra=extra))

    def release(program):
        functions = [each for each in program.functions if each.is_endpoint or each.is_release]
        with serve(gateway_of(functions, aliases=read_aliases(folder), alias_moved=moved)) as url:
            extra["release"]["AWS_ENDPOINT_URL_LAMBDA"] = url
            arn = functions[0].arn
            outputs = StackOutputs.from_json({"functions": {"probe": f"{arn}:live"}, "endpointUrl": url})
            client = StackClient(outputs, Access("us-east-1"))
            lambda_client = client.lambda_client(60)
            said = lambda_client.invoke(FunctionName=functions[-1].arn, Payload=b"{}")["Payload"].read()
            return json.loads(said), client.ask("probe", b"{}").payload["statusCode"]

    def moved(name, alias):
        keep_alias(folder, name, alias)

    up(1)
    program = up(2)
    report, status = release(program)
    assert report.get("releases") == [{"name": "probe", "version": "2", "before": "1"}], report
    assert (read_aliases(folder)[program.functions[0].function_name].version, status) == ("2", 200)
    # What does not answer waits on.
    (folder.root / "inference/probe.py").write_text("def handler(event, context):\n    raise ValueError")
    report, status = release(up(None))
    [held] = report["releases"]
    assert (held["version"], held["before"], status) == ("3", "2", 200)
    assert "ValueError" in held["error"]


def test_a_version_waits_behind_the_one_that_serves_until_it_is_released_and_one_goes_back(
    emulators, up, folder
):
    def stack(program):
        gateway = Gateway(
            program.functions,
            replace(emulators, root=folder.root, isolation="none"),
            aliases=read_aliases(folder),
            alias_moved=lambda name, alias: keep_alias(folder, name, alias),
        )
        return serve(gateway)

    def client_of(program, url):
        arn = program.functions[0].arn
        outputs = {"warmupArn": arn, "functions": {"probe": f"{arn}:live"}, "endpointUrl": url}
        return StackClient(StackOutputs.from_json({**program.outputs, **outputs}), Access("us-east-1"))

    def said(client):
        return client.ask("probe", b"{}").payload["body"]

    program = up(1)
    with stack(program) as url:
        client = client_of(program, url)
        assert said(client) == "code 1"  # the first serves at once
        assert Releases(client, client.outputs.release, print).waiting(["probe"]) == []
    program = up(2)
    with stack(program) as url:
        client = client_of(program, url)
        releases = Releases(client, client.outputs.release, lambda *what: None)
        waiting = releases.waiting(["probe"])
        assert said(client) == "code 1"
        assert said(releases.at_their_versions(waiting)) == "code 2"
        [held] = releases.release(waiting, {"probe": "it cannot be prepared"})
        assert (held.error, said(client)) == ("it cannot be prepared", "code 1")
        releases.release(waiting, {})
        assert said(client) == "code 2"
    with stack(up(2)) as url:  # what was released is found again
        client = client_of(program, url)
        assert said(client) == "code 2"
        roll_back(client, ["probe"])
        assert said(client) == "code 1"
