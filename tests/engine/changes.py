"""What a change of each config key does to the stack dev.

tests/engine holds the real engine to it, tests/provider the plan of the real provider for the same change:
neither is compared with a table of ours alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.engine.stack import Changes

SCRIPTS = ("sentiment", "summarization")


def each(text: str, names: tuple[str, ...] = SCRIPTS) -> set[str]:
    """`each("lambda/alias {}")`: one for each script."""
    return {text.format(name) for name in names}


ENDPOINTS = each("lambda/function hf-lambda-dev-{}")
ALIASES = each("lambda/alias {}")
PUBLISHED = ENDPOINTS | ALIASES
"""What a new version of each endpoint changes."""
WARMUP = {"lambda/function hf-lambda-dev-warmup"}
RELAY = {"lambda/function hf-lambda-dev-relay"}
IN_VPC = ENDPOINTS | WARMUP
FUNCTIONS = IN_VPC | RELAY
POLICIES = each("iam/rolePolicy {}-cache") | {"iam/rolePolicy warmup-warm", "iam/rolePolicy relay-stage"}
"""What functions may do beside writing their logs."""
IMAGES = {"docker:index/image image-full", "docker:index/image image-slim"}
ZONES = ("0", "1")
ALARMS = {
    "sns/topic observability",
    "sns/topicSubscription observability",
    *each("cloudwatch/metricAlarm {}-duration"),
    *each("cloudwatch/metricAlarm {}-errors", (*SCRIPTS, "warmup", "relay")),
    *each("cloudwatch/metricAlarm {}-failures", (*SCRIPTS, "warmup", "relay")),
    *each("cloudwatch/metricAlarm {}-throttles", (*SCRIPTS, "warmup", "relay")),
    *each("cloudwatch/logMetricFilter {}-failures", (*SCRIPTS, "warmup", "relay")),
}

RESULTS = {
    *each("sqs/queue {}-answers"),
    *each("sqs/queue {}-failures"),
    *each("lambda/functionEventInvokeConfig {}"),
}
WITH_RESULTS = Changes.of(creates=RESULTS, updates=each("iam/rolePolicy {}-cache"))


INTO_IMAGES = Changes.of(
    creates=each("docker:index/image image-models-{}"),
    updates=PUBLISHED,
    replaces={"cloudwatch/dashboard observability", "ecr/lifecyclePolicy image"},
    deletes=each("iam/rolePolicy {}-cache")
    | each("cloudwatch/logGroup {}", ("relay", "warmup"))
    | each("iam/role {}", ("relay", "warmup"))
    | each("iam/rolePolicy {}-run", ("relay", "warmup"))
    | {"iam/rolePolicy relay-stage", "iam/rolePolicy warmup-warm"}
    | each("lambda/function hf-lambda-dev-{}", ("relay", "warmup"))
    | each("lambda/functionEventInvokeConfig {}", ("relay", "warmup"))
    | {"ec2/vpc network", "ec2/defaultSecurityGroup network-default", "ec2/vpcEndpoint s3"}
    | each("ec2/{} network-private-0", ("routeTable", "routeTableAssociation", "subnet"))
    | each("ec2/{} network-private-1", ("routeTable", "routeTableAssociation", "subnet"))
    | each("ec2/securityGroup network-{}", ("cache", "downloads", "endpoints"))
    | each("vpc/securityGroupEgressRule network-{}-nfs", ("downloads", "endpoints"))
    | each("vpc/securityGroupIngressRule network-{}-nfs", ("downloads", "endpoints"))
    | {"vpc/securityGroupEgressRule s3-downloads"}
    | each("efs/{} cache", ("accessPoint", "fileSystem", "fileSystemPolicy"))
    | each("efs/mountTarget cache-{}", ZONES)
    | each("s3/bucket{} staging", ("", "LifecycleConfiguration", "Policy", "PublicAccessBlock"))
    | {"s3/bucketServerSideEncryptionConfiguration staging"},
)
"""What it is to leave the cache: with its last reader it goes, and with it the network and the warm-up."""


@dataclass(frozen=True)
class Change:
    value: Any
    """Another one than the default."""
    changes: Changes
    needs: Mapping[str, Any] = field(default_factory=dict)
    """Config that goes with it."""
    why: str = ""

    def keys(self, key: str) -> dict[str, Any]:
        return {key: self.value, **self.needs}


TO_IPV6 = Changes.of(
    creates=each("ec2/route network-egress-{}", ZONES)
    | {
        "ec2/egressOnlyInternetGateway network-egress",
        "vpc/securityGroupEgressRule network-downloads-https-ipv6",
    },
    updates=IN_VPC | ALIASES | {"iam/rolePolicy warmup-warm", "cloudwatch/dashboard observability"},
    deletes=RELAY
    | {"cloudwatch/logGroup relay", "iam/role relay", "lambda/functionEventInvokeConfig relay"}
    | each("iam/rolePolicy relay-{}", ("run", "stage"))
    | {"ec2/vpcEndpoint s3", "vpc/securityGroupEgressRule s3-downloads"}
    | each(
        "s3/bucket{} staging",
        ("", "LifecycleConfiguration", "Policy", "PublicAccessBlock", "ServerSideEncryptionConfiguration"),
    ),
)
"""From the default."""

CHANGES: dict[str, Change] = {
    "memoryMb": Change(512, Changes.of(updates=PUBLISHED)),
    "timeoutSeconds": Change(5, Changes.of(updates=PUBLISHED)),
    "reservedConcurrency": Change(3, Changes.of(updates=ENDPOINTS)),
    "provisionedConcurrency": Change(1, Changes.of(creates=each("lambda/provisionedConcurrencyConfig {}"))),
    "keepWarm": Change(
        "rate(5 minutes)",
        Changes.of(
            creates=each("iam/role {}-keep-warm")
            | each("iam/rolePolicy {}-keep-warm")
            | each("scheduler/schedule {}-keep-warm")
        ),
    ),
    "batch": Change(
        True,
        Changes.of(
            creates=each("iam/role {}-batch")
            | each("iam/rolePolicy {}-batch")
            | each("iam/rolePolicy {}-batch-children")
            | each("sfn/stateMachine hf-lambda-dev-{}-batch")
        ),
        needs={"batchBucket": "events"},
    ),
    "batchBucket": Change("events", Changes(), why="state machines of `batch` use it alone"),
    "functionUrl": Change(
        "public",
        Changes.of(
            creates=each("lambda/functionUrl {}")
            | each("lambda/permission {}-url")
            | each("lambda/permission {}-invoke")
        ),
    ),
    "async": Change(True, WITH_RESULTS),
    "asyncRetries": Change(0, WITH_RESULTS, needs={"async": True}),
    "asyncMaxAgeSeconds": Change(60, WITH_RESULTS, needs={"async": True}),
    "coldDownload": Change(
        True,
        Changes.of(
            updates=PUBLISHED
            | each("iam/rolePolicy {}-cache")
            | {"efs/fileSystemPolicy cache"}
            | TO_IPV6.updates,
            creates=TO_IPV6.creates,
            deletes={"docker:index/image image-slim"} | TO_IPV6.deletes,
        ),
        needs={"egress": "ipv6"},
    ),
    "logRetentionDays": Change(
        30, Changes.of(updates=each("cloudwatch/logGroup {}", (*SCRIPTS, "warmup", "relay")))
    ),
    "cors": Change(
        {"origins": ["https://example.org"]},
        Changes.of(
            creates=each("lambda/functionUrl {}"),
        ),
        needs={"functionUrl": "iam"},
    ),
    "apiKeys": Change(["k" * 32], Changes.of(updates=PUBLISHED)),
    "allowRemoteCode": Change(
        True,
        Changes.of(
            creates={"cloudwatch/logGroup warmup-code", "iam/role warmup-code"}
            | each("iam/rolePolicy warmup-code-{}", ("run", "try"))
            | {"lambda/function hf-lambda-dev-warmup-code"},
            updates={"efs/fileSystemPolicy cache"},
        ),
    ),
    "logMessages": Change(True, Changes.of(updates=PUBLISHED | WARMUP | RELAY)),
    "storage": Change("image", INTO_IMAGES),
    "snapStart": Change(True, INTO_IMAGES, needs={"storage": "image"}),
    "inputBucket": Change(
        "inputs/photos",
        Changes.of(
            creates={"vpc/securityGroupEgressRule s3-endpoints"},
            updates=PUBLISHED | each("iam/rolePolicy {}-cache") | {"ec2/vpcEndpoint s3"},
        ),
    ),
    "environment": Change({"LOG_LEVEL": "debug"}, Changes.of(updates=PUBLISHED)),
    "tracing": Change(
        "active",
        Changes.of(updates=PUBLISHED | WARMUP | RELAY | POLICIES),
    ),
    "keepVersions": Change(
        1,
        Changes.of(replaces={"ecr/lifecyclePolicy image"}),
        why="a hook, which runs when a version was published, and how many images versions refer to",
    ),
    "release": Change("gated", Changes(), why="the alias stays with what it serves"),
    "canary": Change(5, Changes(), why="an output, for whoever releases"),
    "canaryMinutes": Change(1, Changes(), why="an output, for whoever releases"),
    "image": Change("full", Changes.of(updates=PUBLISHED, deletes={"docker:index/image image-slim"})),
    "tags": Change(
        {"a": "b"},
        Changes.of(
            updates=FUNCTIONS
            | each("cloudwatch/logGroup {}", (*SCRIPTS, "warmup", "relay"))
            | each("iam/role {}", (*SCRIPTS, "warmup", "relay"))
            | {"ecr/repository image", "efs/accessPoint cache", "efs/fileSystem cache", "ec2/vpc network"}
            | {"ec2/defaultSecurityGroup network-default", "ec2/vpcEndpoint s3", "s3/bucket staging"}
            | each("ec2/securityGroup network-{}", ("cache", "downloads", "endpoints"))
            | each("vpc/securityGroupEgressRule network-{}", ("downloads-nfs", "endpoints-nfs"))
            | {"vpc/securityGroupEgressRule s3-downloads"}
            | each("vpc/securityGroupIngressRule network-{}", ("downloads-nfs", "endpoints-nfs"))
            | each("ec2/routeTable network-private-{}", ZONES)
            | each("ec2/subnet network-private-{}", ZONES)
        ),
    ),
    "endpoints": Change(
        {"sentiment": {"memoryMb": 512}},
        Changes.of(updates={"lambda/function hf-lambda-dev-sentiment", "lambda/alias sentiment"}),
    ),
    "architecture": Change("arm64", Changes.of(updates=FUNCTIONS | ALIASES | IMAGES)),
    "buildArgs": Change({"a": "b"}, Changes.of(updates=FUNCTIONS | ALIASES | IMAGES)),
    "azCount": Change(
        1,
        Changes.of(
            updates=IN_VPC | ALIASES | {"ec2/vpcEndpoint s3"},
            deletes={
                "ec2/routeTable network-private-1",
                "ec2/routeTableAssociation network-private-1",
                "ec2/subnet network-private-1",
                "efs/mountTarget cache-1",
            },
        ),
    ),
    "zones": Change(["us-east-1c", "us-east-1d"], Changes(), why="subnets that exist stay where they are"),
    "egress": Change("ipv6", TO_IPV6),
    "relayStorageMb": Change(512, Changes.of(updates=RELAY)),
    "permissionsBoundary": Change(
        "arn:aws:iam::123456789012:policy/boundary",
        Changes.of(updates=each("iam/role {}", (*SCRIPTS, "warmup", "relay"))),
    ),
    "flowLogs": Change(
        True,
        Changes.of(
            creates=each(
                "{} network-flow", ("cloudwatch/logGroup", "ec2/flowLog", "iam/role", "iam/rolePolicy")
            )
        ),
    ),
    "deadLetters": Change(
        True,
        Changes.of(
            creates={"sqs/queue dead-letters"},
            updates=PUBLISHED | WARMUP | RELAY | POLICIES,
        ),
    ),
    "immutableTags": Change(
        True,
        Changes.of(
            updates=PUBLISHED | WARMUP | RELAY | IMAGES | {"ecr/repository image"},
            replaces={"ecr/lifecyclePolicy image"},
        ),
    ),
    "warmupConcurrency": Change(5, Changes.of(updates=WARMUP | RELAY)),
    "hubEndpoint": Change("https://hub.local", Changes.of(updates=RELAY)),
    "hfToken": Change(
        "hf_x",
        Changes.of(
            creates={"secretsmanager/secret warmup-hf-token", "secretsmanager/secretVersion warmup-hf-token"},
            updates={"iam/rolePolicy relay-stage"} | RELAY,
        ),
    ),
    "warmupMemoryMb": Change(4096, Changes.of(updates=WARMUP)),
    "tolerance": Change({"probability": 0.1}, Changes.of(updates=WARMUP)),
    "warmOnDeploy": Change(True, Changes(), why="a hook, which runs when the relay's function changes"),
    "dashboard": Change(False, Changes.of(deletes={"cloudwatch/dashboard observability"})),
    "alarmEmail": Change("a@b.org", Changes.of(creates=ALARMS)),
    "monthlyBudgetUsd": Change(
        5, Changes.of(creates={"budgets/budget observability"} | ALARMS), needs={"alarmEmail": "a@b.org"}
    ),
    "protect": Change(
        True, Changes.of(updates={"ecr/repository image"}), why="force_delete of the repository"
    ),
}
