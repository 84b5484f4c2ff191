"""The real program under the mock monitor, and what the local stack takes from it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from local.program.declare import ProgramError, declare, read_config
from local.program.functions import FunctionUrl
from local.program.monitor import run
from tests.infra.program import loaded  # the provider, whose own warnings are no error here

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path):
    """A copy of what the program reads; the rest by link."""
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("infra", "hf_lambda", "discovery", "warmup", "local"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "inference").mkdir()
    for path in (ROOT / "inference").iterdir():
        if path.is_dir() or path.name.startswith("Dockerfile"):
            (tmp_path / "inference" / path.name).symlink_to(path)
    shutil.copy(ROOT / "inference/sentiment.py", tmp_path / "inference")
    return tmp_path


def configure(tree, **values):
    given = {f"hf-lambda:{key}": value for key, value in values.items()}
    (tree / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": given}))


@pytest.fixture(scope="module")
def real():
    assert loaded
    return declare(ROOT)


@pytest.mark.slow
def test_every_script_and_the_warm_up_become_functions_with_their_command(real):
    scripts = {path.stem for path in (ROOT / "inference").glob("*.py") if not path.name.startswith("_")}
    commands = {function.name: function.command for function in real.functions}
    assert commands == {
        **{name: f"{name}.handler" for name in scripts},
        "relay": "warmup.worker.relay_handler.handler",
        "warmup": "warmup.worker.handler.handler",
    }


def test_a_project_may_have_another_name(tree):
    project = (tree / "Pulumi.yaml").read_text()
    (tree / "Pulumi.yaml").write_text(project.replace("name: hf-lambda\n", "name: mine\n", 1))
    (tree / "Pulumi.local.yaml").write_text("config: {memoryMb: 1024, 'mine:timeoutSeconds': 30}\n")
    endpoint = run(tree).functions[0]
    assert (endpoint.name, endpoint.memory_mb, endpoint.timeout_s) == ("sentiment", 1024, 30)


def test_functions_come_in_the_order_of_their_names_and_the_warm_up_last(real):
    names = [function.name for function in real.functions]
    assert names == [*sorted(names[:-2]), "relay", "warmup"]


def test_only_the_warm_up_may_write(real):
    assert {function.name for function in real.functions if function.writes} == {"warmup"}


def test_functions_have_the_memory_timeout_mount_and_environment_of_the_program(real):
    sentiment = next(function for function in real.functions if function.name == "sentiment")
    assert (sentiment.memory_mb, sentiment.timeout_s) == (3008, 600)
    assert sentiment.mount == "/mnt/hf_models_cache"
    assert sentiment.target == "slim"
    assert sentiment.environment["HF_HUB_OFFLINE"] == "1"
    assert sentiment.environment["MODEL_CACHE"] == "/mnt/hf_models_cache"
    assert (sentiment.max_instances, sentiment.url) == (None, None)


def test_the_warm_up_is_not_tried_again_and_runs_in_the_full_image(real):
    warmup = real.functions[-1]
    assert (warmup.retries, warmup.target, warmup.is_warmup) == (0, "full", True)


def test_the_outputs_of_the_stack_name_the_functions_by_arn(real):
    arns = {function.name: f"{function.arn}:live" for function in real.functions if function.is_endpoint}
    assert real.outputs["warmupArn"] == real.functions[-1].arn
    assert real.outputs["functions"] == arns
    assert real.outputs["sentimentArn"] == arns["sentiment"]


def test_a_change_of_the_program_or_its_config_changes_the_local_stack(tree):
    (tree / "inference/second.py").write_text((tree / "inference/sentiment.py").read_text())
    override = {"memoryMb": 1024, "coldDownload": True, "functionUrl": "public", "image": "full"}
    configure(tree, egress="nat", timeoutSeconds=30, endpoints={"second": override}, reservedConcurrency=3)
    second, sentiment, warmup = run(tree).functions
    assert (sentiment.timeout_s, sentiment.memory_mb, sentiment.max_instances) == (30, 3008, 3)
    assert (second.name, second.memory_mb, second.target, second.url) == (
        "second",
        1024,
        "full",
        FunctionUrl(needs_signature=False),
    )
    assert (second.writes, sentiment.writes) == (True, False)
    assert warmup.environment["HF_ENDPOINT"] == "https://huggingface.co"


def test_models_in_an_image_are_of_an_endpoint_without_a_mount_and_may_be_of_all(tree):
    configure(tree, storage="image", snapStart=True, tolerance={"cosine": "0.95"})
    (sentiment,) = run(tree).functions  # nothing else is left
    assert (sentiment.mount, sentiment.models, sentiment.target) == (None, "/opt/models", "slim")
    assert sentiment.snap_start and not sentiment.writes
    assert sentiment.image_args["ENDPOINT"] == "sentiment"
    assert sentiment.image_args["TOLERANCE"] == '{"cosine": 0.95}'


def test_the_tolerance_of_the_config_reaches_the_local_warm_up_too(tree):
    configure(tree, tolerance={"cosine": "0.95"})
    assert run(tree).functions[-1].environment["PREPARE_TOLERANCE"] == '{"cosine": 0.95}'


def test_the_variables_of_an_endpoint_reach_it_and_nobody_else(tree):
    (tree / "inference/second.py").write_text((tree / "inference/sentiment.py").read_text())
    configure(tree, endpoints={"second": {"environment": {"API_KEY": "s3cret", "HOME": "/tmp/home"}}})
    second, sentiment, relay, warmup = run(tree).functions
    assert (second.environment["API_KEY"], second.environment["HOME"]) == ("s3cret", "/tmp/home")
    assert "API_KEY" not in sentiment.environment and "API_KEY" not in {
        **relay.environment,
        **warmup.environment,
    }


def test_a_stack_without_egress_warms_from_the_hub_here_as_there_is_no_bucket_to_stage_through(tree):
    configure(tree, egress="none")
    program = run(tree)
    assert "STAGING_BUCKET" not in program.functions[-1].environment
    assert "stagingBucket" not in program.outputs


def test_with_a_relay_the_bucket_is_here_too_and_the_relay_alone_downloads(real):
    relay, warmup = real.functions[-2:]
    assert relay.is_relay and relay.bucket and relay.bucket == warmup.bucket
    assert {each.name for each in real.functions if each.downloads} == {"relay"}
    assert (relay.mount, relay.writes, relay.retries, relay.storage_mb) == (None, False, 0, 10240)
    assert relay.environment["WARMUP_FUNCTION"] == warmup.arn == real.outputs["warmupArn"]
    assert real.outputs["relayArn"] == relay.arn


def test_what_releases_by_itself_is_here_too_and_is_told_what_the_command_reads(tree):
    configure(tree, release="gated", warmOnDeploy=True, egress="nat")
    program = run(tree)
    [release] = [each for each in program.functions if each.is_release]
    assert (release.name, release.is_endpoint, release.mount, release.downloads) == (
        "release",
        False,
        None,
        False,
    )
    told = json.loads(release.environment["STACK_OUTPUTS"])
    assert {key: program.outputs[key] for key in ("functions", "warmupArn", "release")} == {
        key: told[key] for key in ("functions", "warmupArn", "release")
    }


def test_the_bucket_of_inputs_is_here_too_for_endpoints_alone(tree):
    configure(tree, inputBucket="inputs/photos", egress="nat")
    sentiment, warmup = run(tree).functions
    assert (sentiment.input_bucket, sentiment.reaches_s3) == ("inputs", True)
    assert (warmup.input_bucket, warmup.reaches_s3) == (None, False)


@pytest.mark.slow
@pytest.mark.parametrize("egress", ["relay", "nat", "ipv6", "none"])
def test_a_network_of_aws_is_accepted_and_means_nothing_here(tree, egress):
    configure(tree, egress=egress)
    usual = run(tree).functions
    network = {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"], "fileSystemId": "fs-1"}
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    configure(tree, **network, permissionsBoundary=boundary, egress=egress)
    names = [(each.name, each.writes, each.mount) for each in run(tree).functions]
    assert names == [(each.name, each.writes, each.mount) for each in usual]


def test_a_mistake_in_the_config_comes_out_as_the_program_words_it(tree):
    configure(tree, memoryMb=64, egress="carrier-pigeon")
    with pytest.raises(ProgramError) as caught:
        declare(tree)
    text = str(caught.value)
    assert "memoryMb" in text and "64" in text and "egress" in text and "carrier-pigeon" in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_a_mistake_in_a_script_comes_out_with_its_place(tree):
    (tree / "inference/sentiment.py").write_text("import os\nmodel = os.environ['X']\n")
    with pytest.raises(ProgramError) as caught:
        declare(tree)
    assert "sentiment.py" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_a_fault_of_the_program_itself_shows_where(tree):
    (tree / "__main__.py").write_text("raise KeyError('oops')\n")
    with pytest.raises(ProgramError, match=r"(?s)Traceback.*KeyError: 'oops'"):
        declare(tree)


def test_config_is_the_defaults_and_over_them_the_file_of_the_stack(tree):
    configure(tree, memoryMb=512)
    config = read_config(tree)
    assert config["hf-lambda:memoryMb"] == 512
    assert config["hf-lambda:timeoutSeconds"] == 600
    assert config["aws:region"] == "us-east-1"


def test_an_encrypted_value_is_refused_with_what_to_do_instead(tree):
    configure(tree, hfToken={"secure": "v1:abc"})
    with pytest.raises(ProgramError, match=r"Pulumi\.local\.yaml: hf-lambda:hfToken is encrypted.*HF_TOKEN"):
        read_config(tree)


def test_an_encrypted_value_within_an_object_is_refused_too(tree):
    secret = {"sentiment": {"environment": {"API_KEY": {"secure": "v1:abc"}}}}
    configure(tree, endpoints=secret)
    with pytest.raises(ProgramError, match=r"hf-lambda:endpoints holds an encrypted value \(API_KEY\)"):
        read_config(tree)


def test_what_was_taken_survives_being_written_and_read(real):
    assert type(real).from_json(json.loads(json.dumps(real.to_json()))) == real


@pytest.mark.slow
def test_what_the_program_warns_of_is_kept(tree):
    (tree / "inference/odd.py").write_text("import spacy\n\n\ndef handler(event, context):\n    return 1\n")
    assert [each for each in declare(tree).warnings if "odd.py:1: spacy" in each]


@pytest.mark.slow
def test_the_function_for_code_of_repositories_reads_and_is_no_endpoint(tree):
    configure(tree, allowRemoteCode=True)
    program = declare(tree)
    code = next(each for each in program.functions if each.name == "warmup-code")
    assert (code.command, code.writes, code.target) == ("warmup.worker.try_code.handler", False, "full")
    assert not code.is_endpoint and not code.is_warmup and not code.downloads
    assert program.outputs["warmupCodeArn"] == code.arn
