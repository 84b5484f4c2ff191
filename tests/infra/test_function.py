"""Function URLs, instances that are kept initialised, and what `arn` then is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra.asked import Deployed, statements
from tests.infra.program import ROOT, Deploy
from warmup.protocol.outputs import StackOutputs


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


def test_gated_the_alias_is_moved_by_whoever_releases_and_the_outputs_say_what_waits(
    dev: Deployed, deploy: Deploy
):
    gated = deploy("dev", release="gated")
    for alias in gated.all("lambda/alias").values():
        assert alias.ignored == {"functionVersion", "routingConfig", "description"}
        assert alias.inputs["functionVersion"] == "7"  # the first deployment serves at once
    assert gated.outputs["release"] == {
        "versions": {"sentiment": "7", "summarization": "7"},
        "canary": 10,
        "canaryMinutes": 5,
    }
    assert ("after_update", "announce-version") in gated.function("sentiment").hooks
    assert not {each.ignored for each in dev.all("lambda/alias").values()} - {frozenset()}
    assert "release" not in dev.outputs


def test_a_gated_stack_that_warms_by_itself_releases_by_a_function_that_may_do_nothing_else(deploy: Deploy):
    deployed = deploy("dev", release="gated", warmOnDeploy=True, allowRemoteCode=True, canaryMinutes=20)
    function = deployed.function("release")
    given = function.inputs
    assert (given["imageUri"], given["timeout"]) == (deployed.function("warmup").inputs["imageUri"], 900)
    assert "vpcConfig" not in given and "fileSystemConfig" not in given
    # It is told what the command reads, so that it changes with every version that is published.
    raw = json.loads(given["environment"]["variables"]["STACK_OUTPUTS"])
    assert StackOutputs.from_json(raw) == StackOutputs.from_json({**deployed.outputs, "stack": "dev"})
    assert {("lambda/function", f"hf-lambda-dev-{name}") for name in ("sentiment", "warmup", "relay")} <= (
        deployed.before(function)
    )
    starts = {("after_create", "start-release"), ("after_update", "start-release")}
    assert function.hooks == starts
    assert "start-warmup" not in deployed.hooks
    hook = deployed.hooks["start-release"]
    assert (hook.ignore_errors, hook.on_dry_run) == (True, False)

    found = {
        name: policy.policy()
        for name, policy in deployed.all("iam/rolePolicy").items()
        if policy.inputs["role"] == "release-id"
    }
    assert set(found) == {"release-run", "release-serve", "release-go-on"}
    assert [each["Sid"] for each in found["release-run"]] == ["WriteLogs"]
    own = [deployed.function(name).outputs["arn"] for name in ("sentiment", "summarization")]
    workers = [deployed.function(name).outputs["arn"] for name in ("warmup", "warmup-code", "relay")]
    allowed = {each["Sid"]: (each["Action"], each["Resource"]) for each in found["release-serve"]}
    logs = [
        deployed.all("cloudwatch/logGroup")[name].outputs["arn"] for name in ("sentiment", "summarization")
    ]
    assert allowed == {
        "MoveAliases": (["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetFunctionConfiguration"], own),
        "AskVersions": ("lambda:InvokeFunction", [f"{arn}:*" for arn in own]),
        "AskAndStartTheWarmup": ("lambda:InvokeFunction", workers),
        "CountFailures": ("logs:FilterLogEvents", [f"{arn}:*" for arn in logs]),
    }
    [again] = found["release-go-on"]
    assert (again["Action"], again["Resource"]) == ("lambda:InvokeFunction", function.outputs["arn"])
    # Nobody else moves an alias.
    for name, policy in deployed.all("iam/rolePolicy").items():
        moves = [each for each in policy.policy() if "lambda:UpdateAlias" in each["Action"]]
        assert bool(moves) == (name == "release-serve")
    without = deploy("dev", release="gated", warmOnDeploy=True, canary=0)
    assert "CountFailures" not in statements(without.all("iam/rolePolicy"))


@pytest.mark.parametrize("keys", [{"release": "gated"}, {"warmOnDeploy": True}])
def test_without_either_nothing_releases_by_itself(deploy: Deploy, keys: dict[str, Any]):
    assert not [name for name in deploy("dev", **keys).all("lambda/function") if name.endswith("release")]


def test_asynchronous_requests_end_in_two_queues_to_which_lambda_alone_sends(deploy: Deploy):
    keys = {"async": True, "asyncRetries": 1, "asyncMaxAgeSeconds": 900}
    deployed = deploy("dev", endpoints={"sentiment": keys})
    queues = deployed.all("sqs/queue")
    assert set(queues) == {"sentiment-answers", "sentiment-failures"}
    answers, failures = (queues[f"sentiment-{kind}"] for kind in ("answers", "failures"))
    for queue in queues.values():
        assert queue.inputs["sqsManagedSseEnabled"] is True
        assert (queue.inputs["messageRetentionSeconds"], queue.inputs["maxMessageSize"]) == (
            1_209_600,
            1 << 20,
        )
    config = deployed.all("lambda/functionEventInvokeConfig")["sentiment"]
    assert config.inputs["qualifier"] == "live"
    assert config.inputs["maximumRetryAttempts"] == 1
    assert config.inputs["maximumEventAgeInSeconds"] == 900
    assert config.inputs["destinationConfig"] == {
        "onSuccess": {"destination": answers.outputs["arn"]},
        "onFailure": {"destination": failures.outputs["arn"]},
    }
    assert ("iam/rolePolicy", "sentiment-cache") in deployed.before(config)
    sends = statements(deployed.all("iam/rolePolicy"))["SendResults"]
    assert sends["Action"] == "sqs:SendMessage"
    assert set(sends["Resource"]) == {answers.outputs["arn"], failures.outputs["arn"]}
    urls = {"answers": answers.outputs["url"], "failures": failures.outputs["url"]}
    assert deployed.outputs["queues"] == {"sentiment": urls}


def test_a_version_keeps_the_models_of_its_script(dev: Deployed):
    """For `prune`: a version that can serve again must find them."""
    variables = dev.function("sentiment").inputs["environment"]["variables"]
    [model] = json.loads(variables["MODELS"])
    assert model["model"] == "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    assert len(model["revision"]) == 40


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


def test_a_public_address_without_a_bound_is_warned_of_with_its_worst_month(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
):
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: warned.append(message))
    overrides = {"sentiment": {"reservedConcurrency": 5}}
    deploy("dev", functionUrl="public", memoryMb=1024, endpoints=overrides)
    [warning] = [message for message in warned if "public" in message]
    assert warning.startswith("summarization has a public address and no reservedConcurrency")
    assert "$43,800 a month, $44 for each" in warning  # 1 GB, 730 hours, $0.0000166667 a second
    warned.clear()
    deploy("dev", functionUrl="iam")
    assert not [message for message in warned if "public" in message]


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


def test_a_script_that_streams_has_an_address_that_does(
    deploy: Deploy, scripts: Path, monkeypatch: pytest.MonkeyPatch
):
    (scripts / "chat.py").write_bytes((ROOT / "examples" / "chat.py").read_bytes())
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: warned.append(message))
    deployed = deploy("dev", functionUrl="iam")
    chat, plain = deployed.function("chat").inputs, deployed.function("sentiment").inputs
    assert chat["imageConfig"] == {"commands": ["chat.handler"]}
    assert chat["environment"]["variables"]["RESPONSE_STREAM"] == "1"
    assert plain["imageConfig"] == {"commands": ["sentiment.handler"]}
    assert "RESPONSE_STREAM" not in plain["environment"]["variables"]
    modes = {name: each.inputs.get("invokeMode") for name, each in deployed.all("lambda/functionUrl").items()}
    assert modes == {"chat": "RESPONSE_STREAM", "sentiment": None, "summarization": None}
    quoted = '"Function URLs do not support response streaming within a VPC environment"'
    assert [quoted in warning and warning.startswith("chat streams") for warning in warned] == [True]


CHAT = (ROOT / "examples" / "chat.py").read_bytes()


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: found.append(message))
    return found


def test_a_function_knows_the_hashes_of_its_api_keys_alone(deploy: Deploy, warned: list[str]):
    keys = ["k" * 32, "l" * 32]
    deployed = deploy("dev", endpoints={"sentiment": {"apiKeys": keys}}, secret_keys=("endpoints",))
    variables = deployed.function("sentiment").inputs["environment"]["variables"]
    assert variables["API_KEYS_SHA256"] == ",".join(hashlib.sha256(key.encode()).hexdigest() for key in keys)
    assert "API_KEYS_SHA256" not in deployed.function("summarization").inputs["environment"]["variables"]
    wire = json.dumps([each.wire for each in deployed.resources], default=str)
    assert not [key for key in keys if key in wire] and not warned


@pytest.mark.parametrize(
    "keys", [{"apiKeys": ["k" * 32]}, {"endpoints": {"sentiment": {"apiKeys": ["k" * 32]}}}]
)
def test_api_keys_in_plain_text_are_warned_of(deploy: Deploy, warned: list[str], keys: dict[str, Any]):
    deploy("dev", **keys)
    (warning,) = warned
    assert warning.startswith("apiKeys are in plain text") and "k" * 32 not in warning


def test_a_language_model_for_everybody_is_warned_of(deploy: Deploy, scripts: Path, warned: list[str]):
    (scripts / "chat.py").write_bytes(CHAT)
    deploy("dev", functionUrl="public")
    assert [each.split()[:3] for each in warned if "anybody" in each] == [["chat", "answers", "anybody"]]
    warned.clear()
    deploy("dev", functionUrl="public", apiKeys=["k" * 32], secret_keys=("apiKeys",))
    assert not [each for each in warned if "anybody" in each]


def test_keys_that_a_handler_would_not_ask_for_are_refused(mistakes: Callable[..., list[str]], scripts: Path):
    (scripts / "plain.py").write_bytes((ROOT / "examples" / "plain-ner.py").read_bytes())
    (_, line) = mistakes("dev", functionUrl="public", apiKeys=["k" * 32])
    assert line.startswith("plain: apiKeys are set and its own handler does not ask for them")


def test_code_of_repositories_runs_in_a_function_that_only_reads_the_cache(deploy: Deploy):
    assert not [name for name in deploy("dev").all("lambda/function") if name.endswith("-warmup-code")]
    deployed = deploy("dev", allowRemoteCode=True, hfToken="hf_x", egress="none")
    code, endpoint = deployed.function("warmup-code"), deployed.function("sentiment")
    assert code.inputs["imageConfig"]["commands"] == ["warmup.worker.try_code.handler"]
    assert code.inputs["vpcConfig"] == endpoint.inputs["vpcConfig"]
    variables = code.inputs["environment"]["variables"]
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert not {"HF_TOKEN_SECRET_ARN", "STAGING_BUCKET"} & set(variables)
    policies = {name: each for name, each in deployed.all("iam/rolePolicy").items() if "warmup-code" in name}
    allowed = {
        action
        for each in statements(policies).values()
        if each["Effect"] == "Allow"
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert {action for action in allowed if not action.startswith(("ec2:", "logs:"))} == {
        "elasticfilesystem:ClientMount"
    }
    assert deployed.outputs["warmupCodeArn"] == code.outputs["arn"]
