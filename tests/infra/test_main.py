"""What the real `__main__.py` asks of AWS, and in which order."""

import json
import re
from pathlib import Path

import pytest

from tests.infra.asked import SECRET, Deployed, statements
from tests.infra.program import ACCOUNT, ROOT, URIS, Deploy

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"

WARMUPS = ("warmup.worker.handler.handler", "warmup.worker.relay_handler.handler")


def test_every_script_is_one_function_and_the_warm_up_another(dev: Deployed):
    commands = {each.inputs["imageConfig"]["commands"][0] for each in dev.all("lambda/function").values()}
    assert commands == {"sentiment.handler", "summarization.handler", *WARMUPS}


def test_a_file_more_is_a_function_more(deploy: Deploy, scripts: Path):
    (scripts / "translate-en2fr.py").write_bytes((ROOT / "examples" / "translate-en2fr.py").read_bytes())
    outputs = deploy().outputs
    assert set(outputs["functions"]) == {"sentiment", "summarization", "translate-en2fr"}
    assert outputs["translate-en2frArn"] == outputs["functions"]["translate-en2fr"]


def test_the_outputs_are_what_the_commands_read(dev: Deployed):
    assert set(dev.outputs) == {
        *(
            "functions",
            "sentimentArn",
            "summarizationArn",
            "warmupArn",
            "relayArn",
            "functionUrls",
            "cache",
            "imageUri",
            "memoryMb",
        )
    }
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:hf-lambda-dev-"
    assert set(dev.outputs["functions"]) == {"sentiment", "summarization"}
    assert dev.outputs["memoryMb"] == {"sentiment": 3008, "summarization": 3008}
    assert dev.outputs["warmupArn"] == f"{arn}warmup"
    assert dev.outputs["imageUri"] == URIS["slim"]
    assert dev.outputs["cache"]["mountPath"] == "/mnt/hf_models_cache"


def test_no_resource_is_without_a_parent_that_is_a_component(dev: Deployed):
    parts = {each.urn for each in dev.resources if each.type.startswith("hf-lambda:")}
    assert all(each.parent in parts for each in dev.resources if each.type.startswith(("aws:", "docker:")))
    assert not [each.urn for each in dev.resources if "pulumi:pulumi:Stack$aws:" in each.urn]


def test_everything_is_made_by_the_provider_with_the_default_tags(deploy: Deploy):
    deployed = deploy("dev", tags={"team": "search"})
    provider = deployed.one("pulumi:providers")
    tags = json.loads(provider.inputs["defaultTags"])["tags"]
    assert tags == {"project": "hf-lambda", "stack": "dev", "team": "search"}
    assert provider.inputs["region"] == "us-east-1"
    made = {each.provider.rpartition("::")[0] for each in deployed.resources if each.type.startswith("aws:")}
    assert made == {provider.urn}


def test_a_function_waits_for_the_cache_its_log_group_and_its_policies(nat: Deployed):
    for name in ("sentiment", "summarization", "warmup"):
        policies = {"warmup": "warm"}.get(name, "cache")
        assert nat.before(nat.function(name)) >= {
            *((("efs/mountTarget"), f"cache-{index}") for index in range(2)),
            ("efs/fileSystemPolicy", "cache"),
            ("efs/accessPoint", "cache"),
            *(("ec2/route", f"network-egress-{index}") for index in range(2)),
            *(
                ("vpc/securityGroupIngressRule", f"network-{group}-nfs")
                for group in ("endpoints", "downloads")
            ),
            ("cloudwatch/logGroup", name),
            ("iam/rolePolicy", f"{name}-run"),
            ("iam/rolePolicy", f"{name}-{policies}"),
        }


def test_logs_go_to_a_group_with_an_end(dev: Deployed, prod: Deployed):
    for deployed, stack, days in ((dev, "dev", 7), (prod, "prod", 90)):
        for name, group in deployed.all("cloudwatch/logGroup").items():
            of_vpc = f"/aws/vpc/hf-lambda-{stack}"
            of_function = f"/aws/lambda/hf-lambda-{stack}-{name}"
            assert group.inputs["name"] == (of_vpc if name == "network-flow" else of_function)
            assert group.inputs["retentionInDays"] == days
            if name != "network-flow":
                assert deployed.function(name).inputs["loggingConfig"]["logGroup"] == group.inputs["name"]


def test_endpoints_are_offline_and_read_only(dev: Deployed):
    sentiment = dev.function("sentiment").inputs
    variables = dict(sentiment["environment"]["variables"])
    assert "sst-2-english" in variables.pop("MODELS")
    assert variables == {
        "MODEL_CACHE": "/mnt/hf_models_cache",
        "HF_HUB_CACHE": "/mnt/hf_models_cache/hub",
        "HF_HOME": "/tmp/hf",
        "HOME": "/tmp",
        "XDG_CACHE_HOME": "/tmp/.cache",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "ENDPOINT_NAME": "sentiment",
        "COLD_DOWNLOAD": "0",
        "WARM_COMMAND": "python -m warmup --stack dev",
    }
    assert sentiment["vpcConfig"]["securityGroupIds"] == ["network-endpoints-id"]
    mount = {name: statements({name: each}) for name, each in dev.all("iam/rolePolicy").items()}
    assert mount["sentiment-cache"]["MountCache"]["Action"] == ["elasticfilesystem:ClientMount"]
    assert set(mount["sentiment-cache"]) == {"MountCache"}


def test_the_warm_up_alone_writes(dev: Deployed, nat: Deployed):
    assert (
        nat.function("warmup").inputs["environment"]["variables"]["HF_ENDPOINT"] == "https://huggingface.co"
    )
    warmup = dev.function("warmup").inputs
    assert warmup["vpcConfig"]["securityGroupIds"] == ["network-downloads-id"]
    assert warmup["timeout"] == 900
    assert warmup["ephemeralStorage"] == {"size": 10240}
    tolerance = json.loads(warmup["environment"]["variables"]["PREPARE_TOLERANCE"])
    assert tolerance == {"probability": 0.05, "cosine": 0.99, "sameText": 0.75}
    assert "HF_HUB_OFFLINE" not in warmup["environment"]["variables"]
    allowed = {
        name
        for name, policy in dev.all("iam/rolePolicy").items()
        if "elasticfilesystem:ClientWrite" in json.dumps(policy.policy())
    }
    assert allowed == {"warmup-warm"}
    retries = {
        name: each.inputs["maximumRetryAttempts"]
        for name, each in dev.all("lambda/functionEventInvokeConfig").items()
    }
    assert retries == {"warmup": 0, "relay": 0}


def test_the_relay_is_in_no_network_and_alone_downloads_reads_the_token_and_fills_the_bucket(deploy: Deploy):
    deployed = deploy("dev", hfToken="hf_x", relayStorageMb=2048, permissionsBoundary=BOUNDARY)
    relay, warmup = (deployed.function(name).inputs for name in ("relay", "warmup"))
    assert relay["timeout"] == 900 and relay["ephemeralStorage"] == {"size": 2048}
    assert relay["imageUri"] == warmup["imageUri"] == URIS["full"]
    assert "vpcConfig" not in relay and "fileSystemConfig" not in relay
    variables = relay["environment"]["variables"]
    assert variables["HF_ENDPOINT"] == "https://huggingface.co"
    assert variables["RELAY_STORAGE_MB"] == "2048"
    assert variables["WARMUP_FUNCTION"] == deployed.outputs["warmupArn"]
    assert variables["STAGING_BUCKET"] == warmup["environment"]["variables"]["STAGING_BUCKET"]
    assert not {"HF_ENDPOINT", "HF_TOKEN_SECRET_ARN"} & warmup["environment"]["variables"].keys()
    allowed: dict[str, set[str]] = {}
    for name, policy in deployed.all("iam/rolePolicy").items():
        for statement in policy.policy():
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                if action.split(":")[0] in ("s3", "lambda", "secretsmanager", "ec2"):
                    allowed.setdefault(name, set()).add(action)
    allowed = {name: actions for name, actions in allowed.items() if not name.endswith("-run")}
    assert allowed == {
        "warmup-warm": {"s3:GetObject", "s3:ListBucket", "s3:DeleteObject"},
        "relay-stage": {
            *("s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:AbortMultipartUpload"),
            *("lambda:InvokeFunction", "secretsmanager:GetSecretValue"),
        },
    }
    of_relay = statements(deployed.all("iam/rolePolicy"))
    assert of_relay["AskAndStartTheWarmup"]["Resource"] == deployed.outputs["warmupArn"]
    assert deployed.outputs["relayArn"].endswith("hf-lambda-dev-relay")
    run = deployed.all("iam/rolePolicy")["relay-run"].policy()
    assert [each["Sid"] for each in run] == ["WriteLogs"]
    assert deployed.all("iam/role")["relay"].inputs["permissionsBoundary"] == BOUNDARY
    assert len(deployed.all("lambda/functionEventInvokeConfig")) == 2


def test_a_fraction_that_the_cli_kept_as_text_is_a_number_for_the_warm_up(deploy: Deploy):
    """`pulumi config set --path tolerance.probability 0.1` writes "0.1"."""
    warmup = deploy("dev", tolerance={"probability": "0.1", "sameText": 1}).function("warmup").inputs
    assert warmup["environment"]["variables"]["PREPARE_TOLERANCE"] == '{"probability": 0.1, "sameText": 1}'


def test_no_policy_allows_more_than_aws_makes_it(dev: Deployed):
    """The one wildcard is the network interfaces', and code inside a function may not use it."""
    policies = dev.all("iam/rolePolicy")
    for policy in policies.values():
        for statement in policy.policy():
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Effect"] == "Allow":
                assert not [action for action in actions if "*" in action]
                if statement["Sid"] != "AttachToVpc":
                    resources = statement["Resource"]
                    for each in [resources] if isinstance(resources, str) else resources:
                        assert re.fullmatch(r"arn:aws:[a-z0-9]+:[^*]+([:/]\*(/blobs/\*)?)?", each), each
    found = statements(policies)
    assert {action.split(":")[0] for action in found["AttachToVpc"]["Action"]} == {"ec2"}
    assert found["NotFromInsideTheFunction"]["Effect"] == "Deny"
    assert found["NotFromInsideTheFunction"]["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}


def test_only_lambda_takes_the_roles(dev: Deployed):
    for role in dev.all("iam/role").values():
        (statement,) = role.policy("assumeRolePolicy")
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert statement["Action"] == "sts:AssumeRole"


def test_prod_protects_what_holds_data_and_dev_does_not(dev: Deployed, prod: Deployed):
    holders = {
        "aws:efs/fileSystem:FileSystem",
        "aws:efs/accessPoint:AccessPoint",
        "aws:ecr/repository:Repository",
        "aws:ec2/vpc:Vpc",
        "aws:kms/key:Key",
    }
    assert {each.type for each in prod.resources if each.protect} == holders
    assert not [each for each in dev.resources if each.protect]
    assert prod.one("ecr/repository").inputs["forceDelete"] is False
    assert dev.one("ecr/repository").inputs["forceDelete"] is True


@pytest.mark.slow
def test_what_prod_protects_no_change_of_egress_deletes(deploy: Deploy):
    guarded = [
        {each.urn for each in deploy("prod", egress=egress, hfToken="hf_x").resources if each.protect}
        for egress in ("nat", "none", "relay")
    ]
    assert guarded[0] == guarded[1] == guarded[2] and any("hf-token" in urn for urn in guarded[0])


def test_the_default_fits_into_a_new_account(dev: Deployed):
    assert max(each.inputs["memorySize"] for each in dev.all("lambda/function").values()) <= 3008


def test_the_program_runs_before_aws_has_computed_anything(deploy: Deploy):
    for egress in ("relay", "nat", "ipv6", "none"):
        assert deploy("dev", preview=True, egress=egress, alarmEmail="a@b.org", provisionedConcurrency=1)


def test_a_token_is_a_secret_that_what_downloads_alone_reads(deploy: Deploy):
    deployed = deploy("dev", egress="nat", hfToken="hf_quiet")
    version = deployed.one("secretsmanager/secretVersion")
    assert version.wire["secretString"][SECRET]
    secret = deployed.one("secretsmanager/secret")
    assert "hf_quiet" not in json.dumps([each.inputs for each in deployed.resources if each is not version])
    readers = {
        name: each["Resource"]
        for name, policy in deployed.all("iam/rolePolicy").items()
        for each in policy.policy()
        if "secretsmanager" in str(each["Action"])
    }
    assert readers == {"warmup-warm": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:{secret.name}"}
    variables = deployed.function("warmup").inputs["environment"]["variables"]
    assert variables["HF_TOKEN_SECRET_ARN"] == readers["warmup-warm"]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_without_a_token_there_is_no_secret(stack: str, request: pytest.FixtureRequest):
    assert not request.getfixturevalue(stack).all("secretsmanager/secret")


def test_cold_download_gives_one_endpoint_what_the_warm_up_has(deploy: Deploy):
    deployed = deploy("dev", egress="nat", endpoints={"sentiment": {"coldDownload": True}})
    variables = deployed.function("sentiment").inputs["environment"]["variables"]
    assert variables["COLD_DOWNLOAD"] == "1"
    assert variables["HF_ENDPOINT"] == "https://huggingface.co"
    assert "HF_HUB_OFFLINE" not in variables
    assert deployed.function("sentiment").inputs["vpcConfig"]["securityGroupIds"] == ["network-downloads-id"]
    # The slim image has neither the Hub's client nor torch, which alone can serve what nobody prepared.
    assert deployed.function("sentiment").inputs["imageUri"] == URIS["full"]
    assert deployed.function("summarization").inputs["imageUri"] == URIS["slim"]
    assert deployed.function("summarization").inputs["environment"]["variables"]["COLD_DOWNLOAD"] == "0"
    writers = {
        name
        for name, policy in deployed.all("iam/rolePolicy").items()
        if "elasticfilesystem:ClientWrite" in json.dumps(policy.policy())
    }
    assert writers == {"warmup-warm", "sentiment-cache"}
