"""`batch: true`: the state machine of an endpoint, and what its role may do."""

import json
from typing import Any

from tests.infra.asked import Deployed, statements
from tests.infra.program import Deploy
from warmup.protocol.outputs import StackOutputs


def test_there_is_none_unless_asked_for(dev: Deployed):
    assert not dev.all("sfn/stateMachine") and "batch" not in dev.outputs


def test_a_machine_reads_and_writes_one_folder_asks_one_alias_and_starts_itself(deploy: Deploy):
    deployed = deploy("dev", batchBucket="jobs/nightly", endpoints={"sentiment": {"batch": True}})
    machine = deployed.one("sfn/stateMachine")
    policies = {name: each for name, each in deployed.all("iam/rolePolicy").items() if "-batch" in name}
    assert {each.inputs["role"] for each in policies.values()} == {"sentiment-batch-id"}
    role = deployed.all("iam/role")["sentiment-batch"]
    assert machine.inputs["roleArn"] == role.outputs["arn"]
    (trust,) = role.policy("assumeRolePolicy")
    assert trust["Principal"] == {"Service": "states.amazonaws.com"}
    allowed = {sid: (each["Action"], each["Resource"]) for sid, each in statements(policies).items()}
    alias, arn = deployed.outputs["functions"]["sentiment"], machine.outputs["arn"]
    children = arn.replace(":stateMachine:", ":execution:")
    assert allowed == {
        "ReadEventsAndWriteResults": (
            ["s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
            "arn:aws:s3:::jobs/nightly/*",
        ),
        "AskEndpoint": ("lambda:InvokeFunction", alias),
        "StartChildren": ("states:StartExecution", arn),
        "FollowChildren": (
            ["states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"],
            [f"{children}:*", f"{children}/Lines:*"],
        ),
    }
    assert ("iam/rolePolicy", "sentiment-batch") in deployed.before(machine)
    outputs = StackOutputs.from_json({**deployed.outputs, "stack": "dev"})
    assert outputs.batch and outputs.batch.machines == {"sentiment": arn}
    assert outputs.batch.bucket == "jobs/nightly/"


def test_children_are_as_long_as_the_endpoint_needs_and_ask_its_alias(deploy: Deploy):
    keys: dict[str, Any] = {
        "sentiment": {"batch": True, "timeoutSeconds": 30},
        "summarization": {"batch": True, "timeoutSeconds": 900},
    }
    deployed = deploy("dev", batchBucket="jobs", endpoints=keys)
    kinds = {}
    for name, machine in deployed.all("sfn/stateMachine").items():
        child = json.loads(machine.inputs["definition"])["States"]["Lines"]["ItemProcessor"]
        kinds[name] = child["ProcessorConfig"]["ExecutionType"]
        ask = child["States"]["Batch"]["ItemProcessor"]["States"]["Ask"]
        script = name.removeprefix("hf-lambda-dev-").removesuffix("-batch")
        assert ask["Parameters"]["FunctionName"] == deployed.outputs["functions"][script]
    assert kinds == {
        "hf-lambda-dev-sentiment-batch": "EXPRESS",
        "hf-lambda-dev-summarization-batch": "STANDARD",
    }
