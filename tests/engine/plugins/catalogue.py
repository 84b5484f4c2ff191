"""What the stand-in provider knows of resource types: what replaces one, what AWS computes, who names it.

tests/provider compares the replacements with what the real provider plans for the same change.
"""

from __future__ import annotations

import hashlib
from typing import Any

ACCOUNT = "123456789012"

REPLACED_BY: dict[str, frozenset[str]] = {
    "aws:cloudwatch/dashboard:Dashboard": frozenset({"dashboardName"}),
    "aws:cloudwatch/logGroup:LogGroup": frozenset({"name"}),
    "aws:cloudwatch/metricAlarm:MetricAlarm": frozenset({"name"}),
    "aws:ec2/route:Route": frozenset({"routeTableId", "destinationCidrBlock", "destinationIpv6CidrBlock"}),
    "aws:ec2/subnet:Subnet": frozenset({"cidrBlock", "availabilityZone", "vpcId"}),
    "aws:ec2/vpc:Vpc": frozenset({"cidrBlock"}),
    "aws:ec2/flowLog:FlowLog": frozenset({"vpcId", "trafficType", "logDestination", "iamRoleArn"}),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": frozenset({"policy", "repository"}),
    "aws:ecr/repository:Repository": frozenset({"name", "encryptionConfigurations"}),
    "aws:efs/accessPoint:AccessPoint": frozenset({"fileSystemId", "posixUser", "rootDirectory"}),
    "aws:efs/fileSystem:FileSystem": frozenset({"encrypted", "creationToken", "kmsKeyId"}),
    "aws:efs/mountTarget:MountTarget": frozenset({"fileSystemId", "subnetId"}),
    "aws:iam/role:Role": frozenset({"name"}),
    "aws:lambda/alias:Alias": frozenset({"name", "functionName"}),
    "aws:lambda/function:Function": frozenset({"name", "packageType"}),
    "aws:lambda/functionUrl:FunctionUrl": frozenset({"functionName", "qualifier"}),
    "aws:lambda/permission:Permission": frozenset({"function", "action", "principal", "qualifier"}),
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": frozenset(
        {"functionName", "qualifier"}
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": frozenset(
        {"functionName", "qualifier"}
    ),
    "aws:s3/bucket:Bucket": frozenset({"bucket"}),
    "aws:scheduler/schedule:Schedule": frozenset({"name"}),
    "aws:secretsmanager/secret:Secret": frozenset({"name"}),
    "aws:sfn/stateMachine:StateMachine": frozenset({"name"}),
    "aws:sqs/queue:Queue": frozenset({"name"}),
    "aws:sns/topicSubscription:TopicSubscription": frozenset({"topic", "protocol", "endpoint"}),
}
"""Type -> inputs whose change replaces a resource of it."""

TAGGED = frozenset(
    {
        "aws:budgets/budget:Budget",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway",
        "aws:ec2/eip:Eip",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ecr/repository:Repository",
        "aws:efs/accessPoint:AccessPoint",
        "aws:efs/fileSystem:FileSystem",
        "aws:ec2/flowLog:FlowLog",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:lambda/function:Function",
        "aws:s3/bucket:Bucket",
        "aws:secretsmanager/secret:Secret",
        "aws:sfn/stateMachine:StateMachine",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
)
"""Types that get the default tags of the provider, and so change with them."""

NAMED_BY_PROVIDER: dict[str, int] = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": 255,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:iam/role:Role": 64,
    "aws:lambda/function:Function": 64,
    "aws:secretsmanager/secret:Secret": 512,
    "aws:sns/topic:Topic": 256,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:sfn/stateMachine:StateMachine": 80,
    "aws:sqs/queue:Queue": 80,
}
"""Type -> longest name: without one the provider gives `<name of the resource>-<seven digits>`, for ever."""


def type_of(urn: str) -> str:
    """Without the types of its parents."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    return urn.split("::")[3]


def outputs(kind: str, name: str, inputs: dict[str, Any], region: str, number: int) -> dict[str, Any]:
    """What is known of a resource once it is there. `number`: of the change; nothing is made twice alike."""
    service, short = kind.split(":")[1].partition("/")[0], kind.rpartition(":")[2]
    identifier = str(inputs.get("name") or inputs.get("bucket") or f"{name}-{number:07x}")
    if kind == "aws:lambda/alias:Alias":
        identifier = f"{inputs['functionName']}:{inputs['name']}"
    made: dict[str, Any] = {
        "id": identifier,
        "name": identifier,
        "arn": f"arn:aws:{service}:{region}:{ACCOUNT}:{short}/{identifier}",
    }
    digits = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
    function_arn = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{identifier}"
    if kind == "aws:lambda/function:Function":
        version = str(number) if inputs.get("publish") else "$LATEST"
        made |= {"arn": function_arn, "version": version, "qualifiedArn": f"{function_arn}:{version}"}
    elif kind == "aws:lambda/alias:Alias":
        made |= {"arn": function_arn, "name": inputs["name"]}
    elif kind == "aws:lambda/functionUrl:FunctionUrl":
        made["functionUrl"] = f"https://{digits[:12]}.lambda-url.{region}.on.aws/"
    elif kind == "aws:ecr/repository:Repository":
        url = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{identifier}"
        made |= {"repositoryUrl": url, "registryId": ACCOUNT}
    elif kind == "docker:index/image:Image":
        repository = str(inputs.get("imageName")).rpartition(":")[0]
        made |= {"repoDigest": f"{repository}@sha256:{digits}", "baseImageName": repository}
    elif kind == "aws:ec2/vpc:Vpc":
        made["ipv6CidrBlock"] = "2600:1f18:0:7b00::/56"
    elif kind == "aws:ec2/vpcEndpoint:VpcEndpoint":
        made["prefixListId"] = "pl-1"
    elif kind == "aws:iam/role:Role":
        made["arn"] = f"arn:aws:iam::{ACCOUNT}:role/{identifier}"
    elif kind == "aws:sqs/queue:Queue":
        made["url"] = f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/{identifier}"
    elif kind == "aws:s3/bucket:Bucket":
        made |= {"arn": f"arn:aws:s3:::{identifier}", "bucket": identifier}
    return {**made, **{key: value for key, value in inputs.items() if value not in (None, "")}}


NOT_OF_A_VERSION = frozenset({"reservedConcurrentExecutions", "tags", "tagsAll", "publish"})
"""Inputs of a function that are of no version of it: their change alone publishes none."""

KEPT = ("arn", "name", "id", "functionUrl", "repositoryUrl", "bucket", "ipv6CidrBlock", "prefixListId")
"""Outputs that an update does not change."""


def answers(region: str) -> dict[str, dict[str, Any]]:
    """What the provider's functions answer, by the last part of their token."""
    zones = [f"{region}{letter}" for letter in "abcdef"]
    return {
        "getAvailabilityZones": {"names": zones, "zoneIds": zones, "id": region},
        "getAuthorizationToken": {
            "userName": "AWS",
            "password": "a-password",
            "authorizationToken": "a-token",
            "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{region}.amazonaws.com",
            "expiresAt": "2030-01-01T00:00:00Z",
            "id": region,
        },
        "getCallerIdentity": {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "id": ACCOUNT},
        "getRegion": {"name": region, "region": region, "id": region},
        "getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
    }
