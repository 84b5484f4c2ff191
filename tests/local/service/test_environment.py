"""What this machine adds to a function's environment: where it finds the Hub."""

from dataclasses import replace
from pathlib import Path

from local.hub.address import HubAddress
from local.service.environment import aws_environment, environment, machine_environment
from tests.local.functions_to_run import declare

WARMUP = declare("warmup", command="warmup.worker.handler.handler", writes=True)
EMBEDDED = HubAddress("http://127.0.0.1:1")
CHOSEN = HubAddress("http://127.0.0.1:1", "https://huggingface.co")
TOKEN = {"HF_TOKEN": "hf_x", "OTHER": "x"}


def test_every_function_asks_the_embedded_hub_under_its_own_name():
    for function in (declare("sentiment"), WARMUP):
        given = machine_environment(function, EMBEDDED, {})
        assert given["HF_ENDPOINT"] == f"http://127.0.0.1:1/as/{function.name}"


def test_with_a_hub_of_the_user_s_choice_only_what_downloads_asks_it():
    cold = declare("cold", environment={"COLD_DOWNLOAD": "1"})
    for function in (WARMUP, cold):
        given = machine_environment(function, CHOSEN, TOKEN)
        assert (given["HF_ENDPOINT"], given["HF_TOKEN"]) == ("https://huggingface.co", "hf_x")
        assert "OTHER" not in given
    given = machine_environment(declare("sentiment"), CHOSEN, TOKEN)
    assert given["HF_ENDPOINT"] == "http://127.0.0.1:1/as/sentiment"
    assert "HF_TOKEN" not in given


def test_a_token_never_goes_to_the_embedded_hub():
    assert "HF_TOKEN" not in machine_environment(WARMUP, EMBEDDED, TOKEN)


def test_what_has_to_do_with_the_bucket_finds_it_and_the_relay_alone_finds_functions_and_the_hub():
    staged = {"STAGING_BUCKET": "b"}
    relay = declare("relay", command="warmup.worker.relay_handler.handler", environment=staged)
    warmup = declare("warmup", command="warmup.worker.handler.handler", environment=staged, writes=True)
    found = {
        each.name: aws_environment(each, "http://127.0.0.1:2", "http://127.0.0.1:3")
        for each in (relay, warmup, declare("sentiment"))
    }
    assert {name: given.get("AWS_ENDPOINT_URL_S3") for name, given in found.items()} == {
        **dict.fromkeys(("relay", "warmup"), "http://127.0.0.1:2"),
        "sentiment": None,
    }
    assert [name for name, given in found.items() if "AWS_ENDPOINT_URL_LAMBDA" in given] == ["relay"]
    assert [
        each.name for each in (relay, warmup) if machine_environment(each, CHOSEN, TOKEN).get("HF_TOKEN")
    ] == ["relay"]
    assert aws_environment(relay, None, "http://127.0.0.1:3") == {}


def test_what_releases_finds_functions_whether_there_is_a_bucket_or_not():
    release = declare("release", command="warmup.worker.release_handler.handler")
    for bucket in (None, "http://127.0.0.1:2"):
        given = aws_environment(release, bucket, "http://127.0.0.1:3")
        assert given["AWS_ENDPOINT_URL_LAMBDA"] == "http://127.0.0.1:3"
        assert "AWS_ENDPOINT_URL_S3" not in given


def test_models_of_an_image_are_found_where_this_machine_has_them_and_nowhere_else():
    variables = {"MODEL_CACHE": "/opt/models", "HF_HUB_CACHE": "/opt/models/hub"}
    function = replace(
        declare("sentiment", environment=variables), mount=None, image_args={"ENDPOINT": "sentiment"}
    )
    given = environment(
        function, root=Path("/r"), tmp=Path("/t"), cache=Path("/efs"), extra={}, models=Path("/in/sentiment")
    )
    assert (given["MODEL_CACHE"], given["HF_HUB_CACHE"]) == ("/in/sentiment", "/in/sentiment/hub")
    assert machine_environment(function, EMBEDDED, {})["WARM_COMMAND"] == "make up"
    # In its image they are where the program says.
    inside = environment(function, root=Path("/r"), tmp=Path("/tmp"), cache=None, extra={})
    assert inside["MODEL_CACHE"] == "/opt/models"
