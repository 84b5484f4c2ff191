"""Function URLs, instances that are kept initialised, and what `arn` then is."""

from pathlib import Path

import pytest

from tests.infra.asked import Deployed
from tests.infra.program import ROOT, Deploy


def test_there_is_no_address_unless_asked_for(dev: Deployed):
    assert not dev.all("lambda/functionUrl") and not dev.all("lambda/permission")
    assert dev.outputs["functionUrls"] == {}


def test_iam_needs_no_permission_of_the_function(deploy: Deploy):
    deployed = deploy("dev", functionUrl="iam")
    urls = deployed.all("lambda/functionUrl")
    assert {each.inputs["authorizationType"] for each in urls.values()} == {"AWS_IAM"}
    assert set(deployed.outputs["functionUrls"]) == {"sentiment", "summarization"}
    assert not deployed.all("lambda/permission")


def test_public_needs_both_permissions_and_the_second_holds_for_the_address_alone(deploy: Deploy):
    deployed = deploy("dev", endpoints={"sentiment": {"functionUrl": "public"}})
    assert deployed.one("lambda/functionUrl").inputs["authorizationType"] == "NONE"
    permissions = {
        given["action"]: (given.get("functionUrlAuthType"), given.get("invokedViaFunctionUrl"))
        for given in (each.inputs for each in deployed.all("lambda/permission").values())
    }
    assert permissions == {"lambda:InvokeFunctionUrl": ("NONE", None), "lambda:InvokeFunction": (None, True)}


def test_every_endpoint_is_published_and_called_through_one_alias(dev: Deployed):
    aliases = dev.all("lambda/alias")
    assert set(aliases) == {"sentiment", "summarization"}
    for name, alias in aliases.items():
        assert dev.function(name).inputs["publish"] is True
        assert (alias.inputs["name"], alias.inputs["functionVersion"]) == ("live", "7")
        assert alias.inputs["functionName"] == dev.function(name).id
        assert dev.outputs["functions"][name] == alias.outputs["arn"]
    assert not dev.function("warmup").inputs.get("publish")


@pytest.mark.parametrize("instances", [0, 2])
def test_an_address_and_its_permissions_are_the_alias_s_whatever_else_is_switched(
    deploy: Deploy, instances: int
):
    deployed = deploy("dev", functionUrl="public", provisionedConcurrency=instances)
    kinds = ("lambda/functionUrl", "lambda/permission")
    qualified = {each.inputs["qualifier"] for kind in kinds for each in deployed.all(kind).values()}
    assert qualified == {"live"}


def test_kept_instances_are_the_alias_s(deploy: Deploy):
    deployed = deploy("dev", endpoints={"sentiment": {"provisionedConcurrency": 2}})
    kept = deployed.one("lambda/provisionedConcurrencyConfig").inputs
    assert (kept["qualifier"], kept["provisionedConcurrentExecutions"]) == ("live", 2)


def test_a_new_address_is_announced(deploy: Deploy):
    deployed = deploy("dev", functionUrl="iam")
    for url in deployed.all("lambda/functionUrl").values():
        assert url.hooks == {("after_create", "announce-address")}


def test_web_pages_are_let_in_by_their_origin(deploy: Deploy):
    overrides = {
        "sentiment": {"cors": {"origins": ["https://example.com"], "methods": ["POST"]}},
        "summarization": {"cors": {}},
    }
    urls = deploy("dev", functionUrl="public", endpoints=overrides).all("lambda/functionUrl")
    assert urls["sentiment"].inputs["cors"] == {
        "allowOrigins": ["https://example.com"],
        "allowMethods": ["POST"],
        "allowHeaders": ["content-type"],
    }
    assert "cors" not in urls["summarization"].inputs


@pytest.mark.parametrize("name", ["sentiment", "warmup"])
def test_names_tell_stacks_apart(dev: Deployed, prod: Deployed, name: str):
    assert dev.function(name).name == f"hf-lambda-dev-{name}"
    assert prod.function(name).name == f"hf-lambda-prod-{name}"


def test_a_script_that_streams_has_a_runtime_and_an_address_that_do(
    deploy: Deploy, scripts: Path, monkeypatch: pytest.MonkeyPatch
):
    (scripts / "chat.py").write_bytes((ROOT / "examples" / "chat.py").read_bytes())
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: warned.append(message))
    deployed = deploy("dev", functionUrl="iam")
    chat, plain = deployed.function("chat").inputs, deployed.function("sentiment").inputs
    assert chat["imageConfig"] == {
        "commands": ["chat.handler"],
        "entryPoints": ["python", "-m", "hf_lambda.runtime"],
    }
    assert chat["environment"]["variables"]["RESPONSE_STREAM"] == "1"
    assert plain["imageConfig"] == {"commands": ["sentiment.handler"]}
    assert "RESPONSE_STREAM" not in plain["environment"]["variables"]
    modes = {name: each.inputs.get("invokeMode") for name, each in deployed.all("lambda/functionUrl").items()}
    assert modes == {"chat": "RESPONSE_STREAM", "sentiment": None, "summarization": None}
    quoted = '"Function URLs do not support response streaming within a VPC environment"'
    assert [quoted in warning and warning.startswith("chat streams") for warning in warned] == [True]
