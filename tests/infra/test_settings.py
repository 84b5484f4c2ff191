"""Every mistake in the config stops the program with a line that names key, value and what is allowed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.infra.asked import SECRET
from tests.infra.program import Deploy

Mistakes = Callable[..., list[str]]

MEMORY = "must be a whole number from 128 to 10240"
TOLERANCE = (
    "must be an object of probability (0 to 1), cosine (-1 to 1), sameText (0 to 1), and for language models "
    "int8Kl (0 to 10), int8SameChoice (0 to 1), int8Perplexity (0 to 10) and the same of int4, or of "
    "some of them"
)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "memory too small": ({"memoryMb": 64}, f"memoryMb is '64'; {MEMORY}"),
    "memory too large": (
        {"memoryMb": 10241},
        f"memoryMb is '10241'; {MEMORY}",
    ),
    "memory no number": (
        {"memoryMb": "3 GB"},
        f"memoryMb is '3 GB'; {MEMORY}",
    ),
    "timeout": ({"timeoutSeconds": 901}, "timeoutSeconds is '901'; must be a whole number from 1 to 900"),
    "egress": ({"egress": "vpn"}, "egress is 'vpn'; must be relay, nat, natPerAz, ipv6 or none"),
    "arm64": ({"architecture": "arm"}, "architecture is 'arm'; must be x86_64 or arm64"),
    "zones": ({"azCount": 0}, "azCount is '0'; must be a whole number from 1 to 6"),
    "cors with a method that Lambda does not take": (
        {"functionUrl": "iam", "cors": {"origins": ["*"], "methods": ["OPTIONS"]}},
        """cors is '{"origins": ["*"], "methods": ["OPTIONS"]}'; must be an object of origins, methods and """
        'headers, for instance {"origins": ["https://example.com"]}',
    ),
    "cors without an address": (
        {"endpoints": {"sentiment": {"cors": {"origins": ["*"]}}}},
        "sentiment: cors has origins with functionUrl none; must be iam or public, or cors empty",
    ),
    "zones no list": (
        {"zones": "us-east-1a"},
        "zones is 'us-east-1a'; must be a list of availability zones, "
        'for instance ["us-east-1a", "us-east-1b"]',
    ),
    "a zone twice": (
        {"zones": ["us-east-1a", "us-east-1a"]},
        """zones is '["us-east-1a", "us-east-1a"]'; must be a list of availability zones, """
        'for instance ["us-east-1a", "us-east-1b"]',
    ),
    "zones and another number of them": (
        {"zones": ["us-east-1a"]},
        "zones has 1 and azCount is 2; name as many as azCount",
    ),
    "url": ({"functionUrl": "open"}, "functionUrl is 'open'; must be none, iam or public"),
    "a key that is none": (
        {"kmsKeyArn": "alias/ours"},
        "kmsKeyArn is 'alias/ours'; must be the ARN of a key, for instance arn:aws:kms:us-east-1:"
        "123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab, new for one of its own, or empty",
    ),
    "a key of another region": (
        {"kmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"},
        "kmsKeyArn is arn:aws:kms:eu-west-1:123456789012:key/1234abcd; must be a key of aws:region, "
        "us-east-1, where all is stored",
    ),
    "flow logs of a network that is there": (
        {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"], "flowLogs": True},
        "flowLogs is true with vpcId, which its owner logs; must be false",
    ),
    "a warm-up that nobody can ask": (
        {"warmupConcurrency": 1},
        "warmupConcurrency is 1; must be -1 or at least 2, since the warm-up is asked how far it is while it "
        "works",
    ),
    **{
        f"API key {number}": (
            {"apiKeys": value},
            "apiKeys is what is set; must be a list of one or two keys, each of at least 32 letters, digits "
            "or signs without spaces (for instance what `openssl rand -hex 32` prints)",
        )
        for number, value in enumerate(
            [
                "s" * 40,
                ["s" * 31],
                ["s" * 40] * 2,
                [f"{n}" * 40 for n in "abc"],
                ["s" * 32 + " "],
                ["ä" * 40],
                [40],
            ]
        )
    },
    "keys beside signatures": (
        {"apiKeys": ["k" * 32], "endpoints": {"sentiment": {"functionUrl": "iam"}}},
        "sentiment: apiKeys are set with functionUrl iam, whose callers sign in the same header; must be "
        "public or none",
    ),
    "flag": ({"protect": "yes"}, "protect is 'yes'; must be true or false"),
    "image": ({"image": "tiny"}, "image is 'tiny'; must be auto, slim or full"),
    "reserved": (
        {"reservedConcurrency": -2},
        "reservedConcurrency is '-2'; must be a whole number from -1 to 100000",
    ),
    "provisioned": (
        {"provisionedConcurrency": -1},
        "provisionedConcurrency is '-1'; must be a whole number from 0 to 100000",
    ),
    "e-mail": ({"alarmEmail": "me"}, "alarmEmail is 'me'; must be an e-mail address, or empty for no alarms"),
    "hub": (
        {"hubEndpoint": "hf.co"},
        "hubEndpoint is 'hf.co'; must be an address such as https://huggingface.co",
    ),
    "hub in plain text": (
        {"egress": "nat", "hubEndpoint": "http://hub.local"},
        "hubEndpoint is http://hub.local; must be https on port 443, all that the network lets out, or "
        "egress relay or none, which download elsewhere",
    ),
    "hub on another port": (
        {"egress": "nat", "hubEndpoint": "https://hub.local:8443"},
        "hubEndpoint is https://hub.local:8443; must be https on port 443, all that the network lets out, or "
        "egress relay or none, which download elsewhere",
    ),
    "tags": ({"tags": [1]}, """tags is '[1]'; must be an object of texts, for instance {"team": "search"}"""),
    **{
        f"variable {number}": (
            {"environment": value},
            "environment is what is set; must be an object of texts, for instance "
            '{"LOG_LEVEL": "info"}, with names that neither Lambda (AWS_..., LAMBDA_...) nor the program '
            "sets",
        )
        for number, value in enumerate(
            [
                {"AWS_REGION": "s3cret"},
                {"LAMBDA_TASK_ROOT": "s3cret"},
                {"MODEL_CACHE": "s3cret"},
                {"1A": "s3cret"},
                {"A": "s3cret"},
                {"A-B": "s3cret"},
                {"ÄB": "s3cret"},
                {"AB": ["s3cret"]},
                ["s3cret"],
                "s3cret",
            ]
        )
    },
    "build": (
        {"buildArgs": "x"},
        "buildArgs is 'x'; must be an object of texts, "
        'for instance {"BASE_IMAGE": "python:3.11-slim-bookworm"}',
    ),
    "warm-up": (
        {"warmupMemoryMb": 20000},
        f"warmupMemoryMb is '20000'; {MEMORY}",
    ),
    "budget": (
        {"monthlyBudgetUsd": -5, "alarmEmail": "a@b.org"},
        "monthlyBudgetUsd is '-5'; must be a whole number from 0 to 1000000000",
    ),
    "tolerance no object": ({"tolerance": 0.1}, f"tolerance is '0.1'; {TOLERANCE}"),
    "tolerance out of range": (
        {"tolerance": {"probability": 5}},
        f"""tolerance is '{{"probability": 5}}'; {TOLERANCE}""",
    ),
    "tolerance no number": (
        {"tolerance": {"cosine": "high"}},
        f"""tolerance is '{{"cosine": "high"}}'; {TOLERANCE}""",
    ),
    "tolerance misspelt": (
        {"tolerance": {"same_text": 0.5}},
        f"""tolerance is '{{"same_text": 0.5}}'; {TOLERANCE}""",
    ),
    "unknown": ({"memoryMB": 512}, "memoryMB: there is no such key; did you mean memoryMb?"),
    "region": (
        {"aws__region": None},
        "aws:region is missing; set it: pulumi config set aws:region us-east-1",
    ),
    "provider": (
        {"aws__assumeRole": {"roleArn": "x"}},
        "aws:assumeRole: this program does not take it; did you mean assumeRoles?",
    ),
    "own tags": (
        {"aws__defaultTags": {"tags": {}}},
        "aws:defaultTags: this program does not take it; use `tags`",
    ),
    "roles no list": (
        {"aws__assumeRoles": "arn:aws:iam::123456789012:role/deployer"},
        "aws:assumeRoles is 'arn:aws:iam::123456789012:role/deployer'; must be a list of roles, "
        'for instance [{"roleArn": "arn:aws:iam::123456789012:role/deployer"}]',
    ),
    "retries": ({"aws__retryMode": "often"}, "aws:retryMode is 'often'; must be standard or adaptive"),
    "key of another project": (
        {"my-fork__protect": True},
        "my-fork:protect: this project is hf-lambda; write protect without a namespace",
    ),
    "no default": ({"egress": None}, "egress is missing; Pulumi.yaml must hold its default"),
    "no such script": (
        {"endpoints": {"sentimnt": {"memoryMb": 512}}},
        "endpoints.sentimnt: there is no inference/sentimnt.py; did you mean sentiment?",
    ),
    "no script at all like it": (
        {"endpoints": {"translator": {}}},
        "endpoints.translator: there is no inference/translator.py; must be one of sentiment, summarization",
    ),
    "override out of range": (
        {"endpoints": {"sentiment": {"memoryMb": 64}}},
        f"endpoints.sentiment.memoryMb is 64; {MEMORY}",
    ),
    "override unknown": (
        {"endpoints": {"sentiment": {"memory": 512}}},
        "endpoints.sentiment.memory is 512; there is no such key; did you mean memoryMb?",
    ),
    "override of the stack": (
        {"endpoints": {"sentiment": {"architecture": "arm64"}}},
        'endpoints.sentiment.architecture is "arm64"; architecture is for the whole stack alone',
    ),
    "override no object": (
        {"endpoints": {"sentiment": 512}},
        "endpoints.sentiment is 512; must be an object of keys",
    ),
    "endpoints no object": (
        {"endpoints": "sentiment"},
        "endpoints is 'sentiment'; must be an object of script names, "
        'for instance {"sentiment": {"memoryMb": 1024}}',
    ),
    "nothing staged": (
        {"egress": "none", "warmOnDeploy": True},
        "warmOnDeploy is true with egress none, where the command stages the models; set one of them",
    ),
    "a batch without a place": (
        {"endpoints": {"sentiment": {"batch": True}}},
        "sentiment: batch is true without batchBucket; name a bucket, or leave both",
    ),
    "nothing to go back to": (
        {"release": "gated", "keepVersions": 0},
        "keepVersions is 0 with release gated; must be at least 1, or there is nothing to go back to",
    ),
    "a canary that no function can watch": (
        {"release": "gated", "warmOnDeploy": True, "canaryMinutes": 61},
        "canaryMinutes is 61 with release gated and warmOnDeploy true; must be at most 60, as Lambda stops a "
        "function that goes on by starting itself, or warmOnDeploy false",
    ),
    "a canary beside kept instances": (
        {"release": "gated", "endpoints": {"sentiment": {"provisionedConcurrency": 1}}},
        "sentiment: provisionedConcurrency is 1 with release gated and canary 10; AWS takes one of the two: "
        "canary must be 0, or provisionedConcurrency",
    ),
    "no schedule": (
        {"keepWarm": "rate(1 minutes)"},
        "keepWarm is 'rate(1 minutes)'; must be for instance rate(5 minutes) or "
        "cron(0/5 8-18 ? * MON-FRI *), or empty for none",
    ),
    "release": ({"release": "slow"}, "release is 'slow'; must be direct or gated"),
    "asynchronous": ({"async": "often"}, "async is 'often'; must be true or false"),
    "nobody to tell": (
        {"monthlyBudgetUsd": 20},
        "monthlyBudgetUsd is 20 without alarmEmail; set whom to tell",
    ),
    "download without a way": (
        {"egress": "none", "endpoints": {"sentiment": {"coldDownload": True}}},
        "sentiment: coldDownload is true with egress none; must be false, or egress nat, natPerAz or ipv6",
    ),
    "download with a relay": (
        {"coldDownload": True, "endpoints": {"summarization": {"coldDownload": False}}},
        "sentiment: coldDownload is true with egress relay; must be false, or egress nat, natPerAz or ipv6",
    ),
    "download without the client": (
        {"egress": "nat", "endpoints": {"sentiment": {"coldDownload": True, "image": "slim"}}},
        "sentiment: image is slim with coldDownload true; must be auto or full, which can download",
    ),
    "more kept than allowed": (
        {"endpoints": {"sentiment": {"reservedConcurrency": 1, "provisionedConcurrency": 2}}},
        "sentiment: provisionedConcurrency is 2; must be at most reservedConcurrency, 1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(case: str, mistakes: Mistakes):
    keys, line = WRONG[case]
    assert mistakes("dev", **keys) == ["1 mistake in stack dev:", line]


@pytest.mark.parametrize("where", [{"egress": "none"}, {"stack": "local"}])
def test_a_hub_that_the_operator_s_machine_asks_may_be_anywhere(deploy: Deploy, where: dict[str, str]):
    assert deploy(**where, hubEndpoint="http://hub.local:8080").outputs


def test_what_pulumi_new_writes_is_no_key_of_another_project(deploy: Deploy):
    deploy(pulumi__tags={"pulumi:template": "https://github.com/org/name"})


def test_all_mistakes_are_reported_at_once(mistakes: Mistakes):
    overrides = {"nobody": {}, "sentiment": {"timeoutSeconds": 0}}
    first, *lines = mistakes("prod", egress="vpn", memoryMb=1, colour="red", endpoints=overrides)
    assert first == "5 mistakes in stack prod:"
    assert {line.split()[0].rstrip(":") for line in lines} == {
        *("egress", "memoryMb", "colour", "endpoints.nobody", "endpoints.sentiment.timeoutSeconds")
    }


def test_mistakes_in_scripts_are_reported_with_those_in_the_config(mistakes: Mistakes, scripts: Path):
    (scripts / "broken.py").write_text("def handler(:\n")
    _, *lines = mistakes("dev", memoryMb=1, endpoints={"broken": {"memoryMb": 512}})
    assert [line.split(":")[0].rpartition("/")[2] for line in lines] == [
        "broken.py",
        f"memoryMb is '1'; {MEMORY}",
    ]


def test_a_folder_without_scripts_is_a_mistake(mistakes: Mistakes, scripts: Path):
    for path in scripts.glob("*.py"):
        path.unlink()
    assert mistakes()[1:] == ["inference/ has no script; it needs one, such as sentiment.py"]


def test_a_plain_script_cannot_be_forced_onto_the_slim_image(mistakes: Mistakes, scripts: Path):
    (scripts / "plain.py").write_text(
        "from transformers import pipeline\n"
        'ask = pipeline("text-classification", model="org/model", revision="' + "a" * 40 + '")\n'
        "def handler(event, context):\n    return ask(event['text'])\n"
    )
    _, line = mistakes("dev", endpoints={"plain": {"image": "slim"}})
    assert line == "plain: image is slim; must be auto or full, the script imports transformers"


def test_a_name_that_a_function_of_the_project_has_is_a_mistake(mistakes: Mistakes, scripts: Path):
    for name in ("relay", "Release"):
        (scripts / f"{name}.py").write_bytes((scripts / "sentiment.py").read_bytes())
    because = "a function of this project has the name; rename it"
    assert mistakes("dev")[1:] == [f"relay: with egress relay {because}"]
    assert mistakes("dev", egress="nat", release="gated", warmOnDeploy=True)[1:] == [
        f"Release: with release gated and warmOnDeploy true {because}"
    ]


def test_more_endpoints_than_the_function_that_releases_can_be_told_of_are_a_mistake(
    mistakes: Mistakes, scripts: Path, deploy: Deploy
):
    """4 KB: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    keys = {"release": "gated", "warmOnDeploy": True, "allowRemoteCode": True}
    script = (scripts / "sentiment.py").read_bytes()
    for number in range(17):
        (scripts / f"endpoint_{number}.py").write_bytes(script)
    variables = dict(deploy("dev", **keys).function("release").inputs["environment"]["variables"])
    told = json.loads(variables["STACK_OUTPUTS"])
    long = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:hf-lambda-dev-{}-1a2b3c4"
    told |= {key: long.format("warmup-code") for key in told if key.endswith("Arn")}
    told["functions"] = {name: f"{long.format(name)}:live" for name in told["functions"]}
    variables["STACK_OUTPUTS"] = json.dumps(told, separators=(",", ":"))
    assert sum(len(key) + len(value) for key, value in variables.items()) < 4096
    (scripts / "one_more.py").write_bytes(script)
    [line] = mistakes("dev", **keys)[1:]
    assert line.startswith("20 endpoints with release gated and warmOnDeploy true: what names them takes ")
    assert line.endswith("; set warmOnDeploy to false, or divide them into stacks")


def test_a_name_that_lambda_would_refuse_is_a_mistake(mistakes: Mistakes, scripts: Path):
    name = "x" * 40
    (scripts / f"{name}.py").write_bytes((scripts / "sentiment.py").read_bytes())
    _, line = mistakes("a-stack-with-a-long-name")
    function = f"hf-lambda-a-stack-with-a-long-name-{name}"
    assert line.startswith(f"{name}: {function} is 75 characters; must be at most 56")


@pytest.mark.parametrize(
    ("stack", "lines"),
    [
        (
            "feature.x",
            ["functions would be called hf-lambda-feature.x-...; must be letters, digits, - and _"],
        ),
        ("a--b", ["the image repository would be called hf-lambda-a--b; must have single -, _ or . between"]),
        ("pr_12_", ["the image repository would be called hf-lambda-pr_12_; must have single -, _ or ."]),
        ("A..b", ["functions would be called hf-lambda-A..b-", "the image repository would be called"]),
        ("x" * 41, ["warmup: hf-lambda-" + "x" * 41 + "-warmup is 58 characters; must be at most 56"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_stack_whose_name_aws_would_refuse_is_a_mistake(mistakes: Mistakes, stack: str, lines: list[str]):
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html and, for the repository,
    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html"""
    found = mistakes(stack)[1:]
    for line in lines:
        assert [each for each in found if each.startswith(line)], found


@pytest.mark.parametrize("stack", ["Prod", "pr_12"])
def test_a_stack_whose_name_aws_takes_is_none(deploy: Deploy, stack: str):
    assert deploy(stack).one("ecr/repository").inputs["name"] == f"hf-lambda-{stack}".lower()


@pytest.mark.parametrize(
    ("key", "value", "more"),
    [
        ("hubEndpoint", "https://me:s3cret@hub.example.com", {"coldDownload": True, "egress": "nat"}),
        ("alarmEmail", "s3cret@example.com", {"monthlyBudgetUsd": 5}),
        ("buildArgs", {"PIP_INDEX": "https://me:s3cret@example.com"}, {}),
        ("environment", {"KEY": "s3cret"}, {}),
        ("hfToken", "hf_s3cret", {}),
    ],
)
def test_what_is_a_secret_of_the_config_is_one_in_the_state(
    deploy: Deploy, key: str, value: Any, more: dict[str, Any]
):
    deployed = deploy("dev", secret_keys=(key,), **{key: value}, **more)
    assert any("s3cret" in json.dumps(each.inputs) for each in deployed.resources)
    assert not [each.urn for each in deployed.resources if "s3cret" in json.dumps(in_clear(each.wire))]


def in_clear(wire: Any) -> Any:
    """Without what is marked as a secret."""
    if hasattr(wire, "DESCRIPTOR"):
        wire = json_format.MessageToDict(wire)
    if isinstance(wire, dict):
        return {} if SECRET in wire else {key: in_clear(each) for key, each in wire.items()}
    return [in_clear(each) for each in wire] if isinstance(wire, list) else wire


def test_a_secret_address_of_a_hub_is_not_shown(mistakes: Mistakes):
    (_, line) = mistakes(
        "dev", egress="nat", hubEndpoint="http://me:s3cret@hub.local", secret_keys=("hubEndpoint",)
    )
    assert line.startswith("hubEndpoint is what is set; must be https on port 443")


def test_a_token_is_never_shown(mistakes: Mistakes):
    (line,) = mistakes("dev", hfToken="hf secret", endpoints={})[1:]
    assert "secret" not in line.replace("--secret", "")
    assert line.startswith("hfToken is what is set; must be a token without spaces")


PLAIN = "def handler(event, context):\n    return event"


@pytest.mark.parametrize(
    ("text", "config", "said"),
    [
        (f"import spacy\n{PLAIN}", {}, "inference/odd.py:1: spacy may load"),
        (PLAIN, {"functionUrl": "iam"}, "odd is a plain script: at its HTTPS address"),
        (PLAIN, {"endpoints": {"odd": {"functionUrl": "public"}}}, "odd is a plain script"),
        (PLAIN, {}, None),
        (f"{PLAIN}['body']", {"functionUrl": "iam"}, None),
        (PLAIN, {"functionUrl": "iam", "endpoints": {"odd": {"functionUrl": "none"}}}, None),
    ],
)
def test_what_the_warm_up_cannot_see_and_what_a_plain_script_gets_is_said(
    deploy: Deploy,
    scripts: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    config: dict[str, Any],
    said: str | None,
):
    (scripts / "odd.py").write_text(text)
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: warned.append(message))
    deploy("dev", **config)
    # Others warn of it as well: of a package that no image has, of a public address without a bound.
    heard = [each for each in warned if "plain script" in each or "may load" in each]
    assert len(heard) == (1 if said else 0)
    assert said is None or said in heard[0]


TRUSTING = (
    "from hf_lambda import pipeline\nrun = pipeline('ner', 'o/n', revision='{}', trust_remote_code=True)\n"
    "def handler(event, context):\n    return run(event['text'])\n"
).format("a" * 40)


def test_code_of_a_repository_needs_the_stacks_word_too(mistakes: Mistakes, deploy: Deploy, scripts: Path):
    (scripts / "odd.py").write_text(TRUSTING)
    assert mistakes()[1:] == [
        "odd: line 2 runs code of o/n (trust_remote_code=True) with allowRemoteCode false; must be true, "
        "once you have read it"
    ]
    (_, line) = mistakes(egress="nat", allowRemoteCode=True, endpoints={"odd": {"coldDownload": True}})
    assert line.startswith("odd: coldDownload is true with trust_remote_code=True; must be false")
    assert deploy("dev", allowRemoteCode=True).function("odd")
    (scripts / "warmup-code.py").write_text(PLAIN)
    (_, line) = mistakes(allowRemoteCode=True)
    (scripts / "relay.py").write_text(PLAIN)
    assert mistakes(allowRemoteCode=True)[1:] == [
        "relay: with egress relay a function of this project has the name; rename it",
        "warmup-code: with allowRemoteCode a function of this project has the name; rename it",
    ]
    assert line == "warmup-code: with allowRemoteCode a function of this project has the name; rename it"


def test_a_module_that_no_image_has_is_named_with_the_file_for_its_package(
    mistakes: Mistakes, deploy: Deploy, scripts: Path, monkeypatch: pytest.MonkeyPatch
):
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: warned.append(message))
    (scripts / "odd.py").write_text(f"import torch, rapidfuzz\n{PLAIN}")
    deploy("dev")
    assert [each for each in warned if each.startswith("odd imports rapidfuzz, which no image has; name")]
    assert any("inference/requirements.txt" in each for each in warned)
    warned.clear()
    (scripts / "requirements.txt").write_text("rapidfuzz\n")
    deploy("dev")
    assert not [each for each in warned if "odd imports" in each]
    (scripts / "odd.py").write_text(
        "import rapidfuzz\nfrom hf_lambda import endpoint, pipeline\n"
        "run = pipeline('ner', 'o/n', engine='onnx')\n\n@endpoint\n"
        "def handler(text: str):\n    return run(text)\n"
    )
    assert (
        deploy("dev").function("odd").inputs["imageUri"]
        == deploy("dev").function("warmup").inputs["imageUri"]
    )
    (_, line) = mistakes(endpoints={"odd": {"image": "slim"}})
    assert line == "odd: image is slim; must be auto or full, the script imports rapidfuzz"
