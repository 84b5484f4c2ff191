"""Each rule of AWS that moto lacks: a call that is refused, and the nearest one that is not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.provider.aws.refusals import RULES
from tests.provider.conftest import Client

pytestmark = pytest.mark.slow

ASSUMED_BY_LAMBDA = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
INTERFACES = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"],
                "Resource": "*",
            }
        ],
    }
)


class Setting:
    """What the calls of these tests are about; everything of it is new."""

    made = 0

    def __init__(self, client: Client) -> None:
        Setting.made += 1
        self.client, self.number = client, Setting.made
        self.ec2, self.efs, self.functions = client("ec2"), client("efs"), client("lambda")

    def vpc(self, ipv6: bool = False) -> dict[str, Any]:
        made: dict[str, Any] = self.ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=ipv6)[
            "Vpc"
        ]
        return made

    def subnet(self, vpc: str, number: int = 0, zone: str = "us-east-1a", **more: Any) -> str:
        cidr = f"10.0.{number}.0/24"
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone, **more)["Subnet"]
        return str(subnet["SubnetId"])

    def security_group(self, vpc: str) -> str:
        made = self.ec2.create_security_group(GroupName=f"g{self.number}", Description="d", VpcId=vpc)
        return str(made["GroupId"])

    def role(self) -> str:
        name, iam = f"role-{self.number}", self.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUMED_BY_LAMBDA)["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="run", PolicyDocument=INTERFACES)
        return str(made["Arn"])

    def file_system(self) -> str:
        return str(self.efs.create_file_system(CreationToken=f"t{self.number}")["FileSystemId"])

    def access_point(self, file_system: str) -> str:
        made = self.efs.create_access_point(ClientToken=f"t{self.number}", FileSystemId=file_system)
        return str(made["AccessPointArn"])

    def function(self, name: str = "", **more: Any) -> str:
        name = name or f"function-{self.number}"
        code = {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/r@sha256:" + "0" * 64}
        given = {"FunctionName": name, "Code": code, "PackageType": "Image", **more}
        self.functions.create_function(Role=self.role(), **given)
        return name

    def alias(self, function: str) -> str:
        version = self.functions.publish_version(FunctionName=function)["Version"]
        self.functions.create_alias(FunctionName=function, Name="live", FunctionVersion=version)
        return str(version)


@pytest.fixture
def setting(aws: Client) -> Setting:
    return Setting(aws)


def refusal(code: str, says: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({re.escape(code)}\).*{says}")


def test_every_rule_cites_its_source_and_has_a_test():
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert not [name for name, rule in RULES.items() if not rule.source or name not in tests]


@pytest.mark.parametrize(
    ("service", "call", "code", "bad", "good"),
    [
        ("ecr", "create_repository", "InvalidParameterException", {"repositoryName": "a--b_"}, "a-b"),
        ("logs", "create_log_group", "InvalidParameterException", {"logGroupName": "/aws/a b"}, "/aws/a.b"),
        ("logs", "create_log_group", "InvalidParameterException", {"logGroupName": "a" * 513}, "a" * 512),
    ],
)
def test_values_outside_the_model(
    aws: Client, service: str, call: str, code: str, bad: dict[str, str], good: str
):
    (key,) = bad
    with refusal(code, key):
        getattr(aws(service), call)(**bad)
    getattr(aws(service), call)(**{key: good})


def test_function_name_too_long(setting: Setting):
    with refusal("InvalidParameterValueException", "64"):
        setting.function("a" * 65)
    Setting(setting.client).function("a" * 64)


def test_more_than_a_function_may_have(setting: Setting, new_account: Client):
    with refusal("InvalidParameterValueException", "900"):
        setting.function(Timeout=901)
    Setting(setting.client).function(Timeout=900, MemorySize=10240)
    with refusal("InvalidParameterValueException", "3008"):
        Setting(new_account).function(MemorySize=3009)
    Setting(new_account).function(MemorySize=3008)


@pytest.mark.parametrize(
    "name", ["A-b", "a_b", "ab", "a..b", "10.0.0.1", "xn--a", "a-s3alias", "-ab", "a" * 64]
)
def test_bucket_name_against_the_rules(aws: Client, name: str):
    with refusal("InvalidBucketName"):
        aws("s3").create_bucket(Bucket=name)
    aws("s3").create_bucket(Bucket=f"a-good-name-{len(name)}-{ord(name[0])}")


def policy(principal: Any, action: str = "elasticfilesystem:ClientMount", **condition: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition}]})


def test_condition_key_that_efs_does_not_enforce(setting: Setting):
    put, file_system = setting.efs.put_file_system_policy, setting.file_system()
    with refusal("InvalidPolicyException", "aws:PrincipalArn"):
        put(FileSystemId=file_system, Policy=policy("*", ArnEquals={"aws:PrincipalArn": "x"}))
    enforced = policy("*", Bool={"elasticfilesystem:AccessedViaMountTarget": "true"})
    put(FileSystemId=file_system, Policy=enforced)
    of_the_api = policy("*", "elasticfilesystem:DeleteFileSystem", ArnEquals={"aws:PrincipalArn": "x"})
    put(FileSystemId=file_system, Policy=of_the_api)


def test_principal_that_does_not_exist(setting: Setting):
    put, file_system = setting.efs.put_file_system_policy, setting.file_system()
    with refusal("InvalidPolicyException", "invalid Principal block"):
        put(FileSystemId=file_system, Policy=policy({"AWS": ["arn:aws:iam::123456789012:role/nobody"]}))
    put(FileSystemId=file_system, Policy=policy({"AWS": [setting.role()]}))


def test_second_mount_target_in_a_zone(setting: Setting):
    vpc, file_system = setting.vpc()["VpcId"], setting.file_system()
    first, same, other = (
        setting.subnet(vpc, number, zone)
        for number, zone in enumerate(("us-east-1a", "us-east-1a", "us-east-1b"))
    )
    setting.efs.create_mount_target(FileSystemId=file_system, SubnetId=first)
    with refusal("MountTargetConflict"):
        setting.efs.create_mount_target(FileSystemId=file_system, SubnetId=same)
    setting.efs.create_mount_target(FileSystemId=file_system, SubnetId=other)


def test_zone_without_a_mount_target(setting: Setting):
    vpc, file_system = setting.vpc()["VpcId"], setting.file_system()
    mounts = [{"Arn": setting.access_point(file_system), "LocalMountPath": "/mnt/cache"}]
    subnets = [setting.subnet(vpc, 0, "us-east-1a"), setting.subnet(vpc, 1, "us-east-1b")]
    where = {"SubnetIds": subnets, "SecurityGroupIds": [setting.security_group(vpc)]}
    setting.efs.create_mount_target(FileSystemId=file_system, SubnetId=subnets[0])
    with refusal("InvalidParameterValueException", "does not have mount targets"):
        setting.function(FileSystemConfigs=mounts, VpcConfig=where)
    setting.efs.create_mount_target(FileSystemId=file_system, SubnetId=subnets[1])
    again = Setting(setting.client)
    function = again.function(FileSystemConfigs=mounts, VpcConfig=where)
    third = {**where, "SubnetIds": [*subnets, setting.subnet(vpc, 2, "us-east-1c")]}
    with refusal("InvalidParameterValueException", "does not have mount targets"):
        again.functions.update_function_configuration(FunctionName=function, VpcConfig=third)


def test_ipv6_block_in_use(setting: Setting):
    vpc = setting.vpc(ipv6=True)
    (association,) = vpc["Ipv6CidrBlockAssociationSet"]
    block = association["Ipv6CidrBlock"].replace("/56", "/64")
    subnet = setting.subnet(vpc["VpcId"], Ipv6CidrBlock=block)
    with refusal("InvalidCidrBlock.InUse", "has a subnet within"):
        setting.ec2.disassociate_vpc_cidr_block(AssociationId=association["AssociationId"])
    setting.ec2.delete_subnet(SubnetId=subnet)
    setting.ec2.disassociate_vpc_cidr_block(AssociationId=association["AssociationId"])


def test_subnet_with_an_interface(setting: Setting):
    vpc = setting.vpc()["VpcId"]
    old, new = setting.subnet(vpc, 0), setting.subnet(vpc, 1)
    groups = [setting.security_group(vpc)]
    function = setting.function(VpcConfig={"SubnetIds": [old], "SecurityGroupIds": groups})
    version = setting.alias(function)
    setting.functions.update_function_configuration(
        FunctionName=function, VpcConfig={"SubnetIds": [new], "SecurityGroupIds": groups}
    )
    with refusal("DependencyViolation", f"{function}:{version}"):
        setting.ec2.delete_subnet(SubnetId=old)
    setting.functions.delete_function(FunctionName=function)
    setting.ec2.delete_subnet(SubnetId=old)


def test_security_group_with_an_interface(setting: Setting):
    vpc = setting.vpc()["VpcId"]
    group, subnet, file_system = setting.security_group(vpc), setting.subnet(vpc), setting.file_system()
    made = setting.efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet, SecurityGroups=[group])
    with refusal("DependencyViolation", made["MountTargetId"]):
        setting.ec2.delete_security_group(GroupId=group)
    setting.efs.delete_mount_target(MountTargetId=made["MountTargetId"])
    setting.ec2.delete_security_group(GroupId=group)


@pytest.mark.parametrize("gone", ["role", "policy"])
def test_interface_that_no_role_is_left_to_delete(setting: Setting, gone: str):
    vpc, iam = setting.vpc()["VpcId"], setting.client("iam")
    for place, role_goes_first in enumerate((True, False)):
        here = Setting(setting.client)
        subnet, group = here.subnet(vpc, place), here.security_group(vpc)
        function = here.function(VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": [group]})
        here.functions.delete_function(FunctionName=function)
        if not role_goes_first:
            here.ec2.delete_subnet(SubnetId=subnet)
            here.ec2.delete_security_group(GroupId=group)
        iam.delete_role_policy(RoleName=f"role-{here.number}", PolicyName="run")
        if gone == "role":
            iam.delete_role(RoleName=f"role-{here.number}")
        if role_goes_first:
            with refusal("DependencyViolation", "an interface of"):
                here.ec2.delete_subnet(SubnetId=subnet)
            with refusal("DependencyViolation", "an interface of"):
                here.ec2.delete_security_group(GroupId=group)


def test_second_way_to_s3_in_a_route_table(setting: Setting):
    vpc = setting.vpc()["VpcId"]
    first, second = (
        setting.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)
    )

    def way(service: str, *tables: str) -> str:
        name = f"com.amazonaws.us-east-1.{service}"
        made = setting.ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=name, VpcEndpointType="Gateway", RouteTableIds=[*tables]
        )
        return str(made["VpcEndpoint"]["VpcEndpointId"])

    way("s3", first)
    with refusal("RouteAlreadyExists", first):
        way("s3", first, second)
    way("dynamodb", first)
    other = way("s3", second)
    with refusal("RouteAlreadyExists", first):
        setting.ec2.modify_vpc_endpoint(VpcEndpointId=other, AddRouteTableIds=[first])
    setting.ec2.delete_vpc_endpoints(VpcEndpointIds=[other])
    way("s3", second)


def test_boundary_that_does_not_exist(setting: Setting):
    iam, name = setting.client("iam"), f"bounded-{setting.number}"
    role = {"RoleName": name, "AssumeRolePolicyDocument": ASSUMED_BY_LAMBDA}
    arn = f"arn:aws:iam::123456789012:policy/{name}"
    with refusal("NoSuchEntity", arn):
        iam.create_role(**role, PermissionsBoundary=arn)
    iam.create_policy(PolicyName=name, PolicyDocument=INTERFACES)
    iam.create_role(**role, PermissionsBoundary=arn)


def test_role_that_may_not_attach_to_a_vpc(setting: Setting):
    vpc = setting.vpc()["VpcId"]
    where = {"SubnetIds": [setting.subnet(vpc)], "SecurityGroupIds": [setting.security_group(vpc)]}
    function = setting.function()
    setting.client("iam").delete_role_policy(RoleName=f"role-{setting.number}", PolicyName="run")
    with refusal("InvalidParameterValueException", "CreateNetworkInterface"):
        setting.functions.update_function_configuration(FunctionName=function, VpcConfig=where)
    Setting(setting.client).function(VpcConfig=where)


def test_zone_without_lambda(setting: Setting):
    vpc = setting.vpc()["VpcId"]
    groups = [setting.security_group(vpc)]
    good, bad = (setting.subnet(vpc, place, f"us-east-1{zone}") for place, zone in enumerate("ae"))
    with refusal("InvalidParameterValueException", "availability zone Lambda doesn't support"):
        setting.function(VpcConfig={"SubnetIds": [good, bad], "SecurityGroupIds": groups})
    Setting(setting.client).function(VpcConfig={"SubnetIds": [good], "SecurityGroupIds": groups})


def test_image_that_is_an_index(setting: Setting):
    ecr, name = setting.client("ecr"), f"repository-{setting.number}"
    uri = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:1", "size": 1}
    oci = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    image = {**oci, "config": config, "layers": []}
    index = {**oci, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    for digit, manifest in (("1", index), ("2", image)):
        ecr.put_image(
            repositoryName=name,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType=manifest["mediaType"],
            imageTag=digit,
            imageDigest=f"sha256:{digit * 64}",
        )
    code = {"PackageType": "Image"}
    with refusal("InvalidParameterValueException", "is not supported"):
        setting.function(**code, Code={"ImageUri": f"{uri}@sha256:{'1' * 64}"})
    again = Setting(setting.client)
    again.function(**code, Code={"ImageUri": f"{uri}@sha256:{'2' * 64}"})


@pytest.mark.parametrize(
    ("service", "call", "parameter", "code", "says"),
    [
        # https://github.com/testground/testground/pull/536
        (
            "ecr",
            "create_repository",
            "repositoryName",
            "RepositoryAlreadyExistsException",
            "The repository with name 'taken' already exists in the registry with id '123456789012'",
        ),
        # https://github.com/hashicorp/terraform-provider-aws/issues/18468
        (
            "logs",
            "create_log_group",
            "logGroupName",
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ),
    ],
)
def test_moto_itself_says_in_aws_words_that_a_name_is_taken(
    aws: Client, service: str, call: str, parameter: str, code: str, says: str
):
    getattr(aws(service), call)(**{parameter: "taken"})
    with refusal(code, re.escape(says)):
        getattr(aws(service), call)(**{parameter: "taken"})


def nat_gateway(setting: Setting, vpc: str) -> tuple[str, str]:
    address = setting.ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = setting.ec2.create_nat_gateway(SubnetId=setting.subnet(vpc), AllocationId=address)
    return str(made["NatGateway"]["NatGatewayId"]), str(address)


def test_internet_gateway_with_addresses_behind_it(setting: Setting):
    vpc = setting.vpc()["VpcId"]
    gateway = setting.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    setting.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    nat, _ = nat_gateway(setting, vpc)
    with refusal("DependencyViolation", "mapped public address"):
        setting.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    setting.ec2.delete_nat_gateway(NatGatewayId=nat)
    setting.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def test_address_of_a_nat_gateway(setting: Setting):
    nat, address = nat_gateway(setting, setting.vpc()["VpcId"])
    with refusal("InvalidIPAddress.InUse", nat):
        setting.ec2.release_address(AllocationId=address)
    setting.ec2.delete_nat_gateway(NatGatewayId=nat)
    setting.ec2.release_address(AllocationId=address)


def test_less_than_the_unreserved_minimum(setting: Setting, new_account: Client):
    reserve = setting.functions.put_function_concurrency
    function = setting.function()
    with refusal("InvalidParameterValueException", r"minimum value of \[100\]"):
        reserve(FunctionName=function, ReservedConcurrentExecutions=901)
    reserve(FunctionName=function, ReservedConcurrentExecutions=1)
    theirs = Setting(new_account)
    function = theirs.function()
    theirs.alias(function)
    with refusal("InvalidParameterValueException", r"ConcurrentExecutions .* minimum value of \[10\]"):
        theirs.functions.put_provisioned_concurrency_config(
            FunctionName=function, Qualifier="live", ProvisionedConcurrentExecutions=1
        )


def test_provisioned_concurrency_out_of_place(setting: Setting):
    provision, function = setting.functions.put_provisioned_concurrency_config, setting.function()
    setting.alias(function)
    with refusal("InvalidParameterValueException", "unpublished"):
        provision(FunctionName=function, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
    setting.functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)
    with refusal("InvalidParameterValueException", "greater than 2"):
        provision(FunctionName=function, Qualifier="live", ProvisionedConcurrentExecutions=3)
    provision(FunctionName=function, Qualifier="live", ProvisionedConcurrentExecutions=2)


def test_snapstart_with_what_it_does_not_go_with(setting: Setting):
    snapstart = {"ApplyOn": "PublishedVersions"}
    with refusal("InvalidParameterValueException", "EphemeralStorage"):
        setting.function(SnapStart=snapstart, EphemeralStorage={"Size": 513})
    Setting(setting.client).function(SnapStart=snapstart, EphemeralStorage={"Size": 512})


def test_url_of_something_else_than_an_alias(setting: Setting):
    function = setting.function()
    asked = {"FunctionName": function, "AuthType": "NONE"}
    with refusal("ResourceNotFoundException"):
        setting.functions.create_function_url_config(**asked, Qualifier="live")
    setting.alias(function)
    setting.functions.create_function_url_config(**asked, Qualifier="live")


def test_version_that_an_alias_weighs(setting: Setting):
    function = setting.function()
    version = setting.alias(function)
    with refusal("ResourceConflictException", "live"):
        setting.functions.delete_function(FunctionName=function, Qualifier=version)
    setting.functions.delete_alias(FunctionName=function, Name="live")
    setting.functions.delete_function(FunctionName=function, Qualifier=version)
