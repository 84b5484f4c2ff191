"""What AWS refuses and moto lets pass: one function for each rule, with its source.

A rule gets a call and answers with a `Refusal`, or with nothing. To add one, write the function, name the
operations and the source, and call the API in tests/provider/test_refusals.py: once refused, once not.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.provider.aws.calls import Call
from tests.provider.aws.constraints import violations
from tests.provider.aws.gaps import interfaces


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str


Check = Callable[[Call], "Refusal | None"]


@dataclass(frozen=True)
class Rule:
    name: str
    operations: frozenset[str]
    """For instance `efs:CreateMountTarget`; empty: every operation."""
    source: str
    check: Check


RULES: dict[str, Rule] = {}


def rule(*operations: str, source: str) -> Callable[[Check], Check]:
    """Registers a check. `source`: a page of AWS, an issue that shows the answer, or the model of the API."""

    def register(check: Check) -> Check:
        name = check.__name__
        RULES[name] = Rule(name, frozenset(operations), source, check)
        return check

    return register


def refused(call: Call, without: Collection[str] = ()) -> Refusal | None:
    """The first refusal that applies to `call`, of rules that are not in `without`."""
    for name, each in RULES.items():
        if name not in without and (not each.operations or call.operation in each.operations):
            refusal = each.check(call)
            if refusal:
                return refusal
    return None


# Names and values


@rule(source="the model of the API that botocore ships (service-2.json: min, max, pattern, enum)")
def values_outside_the_model(call: Call) -> Refusal | None:
    if call.model.name.startswith(("Describe", "Get", "List", "Head")):
        return None
    found = list(violations(call.model.input_shape, dict(call.parameters)))
    return Refusal(_VALIDATION.get(call.service, "ValidationException"), "; ".join(found)) if found else None


_VALIDATION = {
    "ec2": "InvalidParameterValue",
    "ecr": "InvalidParameterException",
    "efs": "BadRequest",
    "iam": "ValidationError",
    "lambda": "InvalidParameterValueException",
    "logs": "InvalidParameterException",
    "s3": "InvalidArgument",
    "sns": "InvalidParameter",
}


@rule(
    "lambda:CreateFunction",
    source='the model of the API: "If you specify only the function name, it is limited to 64 characters"',
)
def function_name_too_long(call: Call) -> Refusal | None:
    name = call.parameters["FunctionName"]
    if ":" in name or len(name) <= 64:
        return None
    text = "Member must have length less than or equal to 64"
    return Refusal("InvalidParameterValueException", f"Value '{name}' at 'functionName': {text}")


@rule(
    "lambda:CreateFunction",
    "lambda:UpdateFunctionConfiguration",
    source='the model of the API: "the maximum allowed value is 900 seconds"; docs: function quotas, memory',
)
def more_than_a_function_may_have(call: Call) -> Refusal | None:
    for key, most in (("Timeout", 900), ("MemorySize", call.limits.memory_mb)):
        value = call.parameters.get(key)
        if value and value > most:
            text = f"Member must have value less than or equal to {most}"
            return Refusal("InvalidParameterValueException", f"'{key}' is {value}: {text}")
    return None


@rule(
    "s3:CreateBucket", source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"
)
def bucket_name_against_the_rules(call: Call) -> Refusal | None:
    name = call.parameters["Bucket"]
    well_formed = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) and ".." not in name
    reserved = name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
    )
    if well_formed and not reserved and not re.fullmatch(r"\d+(\.\d+){3}", name):
        return None
    return Refusal("InvalidBucketName", f"The specified bucket is not valid: {name}")


# The cache


_ENFORCED = {
    "aws:SecureTransport",
    "aws:SourceIp",
    "elasticfilesystem:AccessPointArn",
    "elasticfilesystem:AccessedViaMountTarget",
}
_FOR_CLIENTS = re.compile(r"elasticfilesystem:(\*|Client\w*\*?)")


@rule(
    "efs:PutFileSystemPolicy",
    source="https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html (condition keys): "
    "any other key is not enforced. AWS takes such a policy; here it is refused, so that nothing rests on it",
)
def condition_key_that_efs_does_not_enforce(call: Call) -> Refusal | None:
    for statement in _statements(call.parameters["Policy"]):
        if not any(_FOR_CLIENTS.fullmatch(action) for action in _listed(statement.get("Action"))):
            continue
        keys = {key for condition in statement.get("Condition", {}).values() for key in condition}
        if others := sorted(keys - _ENFORCED):
            text = f"EFS does not enforce {', '.join(others)} for clients"
            return Refusal("InvalidPolicyException", text)
    return None


@rule(
    "efs:PutFileSystemPolicy",
    "s3:PutBucketPolicy",
    source="the AWS provider waits for it to pass (internal/service/efs/file_system_policy.go); S3 answers "
    "MalformedPolicy: https://github.com/cloud-custodian/cloud-custodian/issues/4948",
)
def principal_that_does_not_exist(call: Call) -> Refusal | None:
    policy = call.parameters["Policy"]
    known = {role.arn for role in call.backend("iam").roles.values()}
    for statement in _statements(policy):
        principal = statement.get("Principal")
        for arn in _listed(principal.get("AWS") if isinstance(principal, dict) else None):
            if ":role/" in arn and arn not in known:
                if call.service == "efs":
                    text = "Policy contains invalid Principal block"
                    return Refusal("InvalidPolicyException", f"{text}: {arn}")
                return Refusal("MalformedPolicy", f"Invalid principal in policy: {arn}")
    return None


@rule(
    "efs:CreateMountTarget",
    source='the model of the API: "there can be only one mount target per Availability Zone", of one VPC',
)
def second_mount_target_in_a_zone(call: Call) -> Refusal | None:
    subnets, file_system = call.backend("ec2"), call.parameters["FileSystemId"]
    subnet = _subnet(call, call.parameters["SubnetId"])
    for each in list(call.backend("efs").mount_targets_by_id.values()):
        if each.file_system_id != file_system or subnet is None:
            continue
        other = subnets.get_subnet(each.subnet_id)
        if other.vpc_id != subnet.vpc_id or other.availability_zone == subnet.availability_zone:
            return Refusal("MountTargetConflict", "mount target already exists in this AZ")
    return None


@rule(
    "lambda:CreateFunction",
    "lambda:UpdateFunctionConfiguration",
    source="https://repost.aws/questions/QUad7ebVZrRGOv96EfOCiWMw shows the answer",
)
def zone_without_a_mount_target(call: Call) -> Refusal | None:
    function = _functions(call).get(_name(call.parameters["FunctionName"]))
    mounts = call.parameters.get("FileSystemConfigs") or (
        function and function.configured.get("FileSystemConfigs")
    )
    vpc_config = call.parameters.get("VpcConfig") or (function and function._vpc_config)
    if not mounts or not vpc_config:
        return None
    efs = call.backend("efs")
    access_point = next(
        (each for each in efs.access_points.values() if each.access_point_arn == mounts[0]["Arn"]), None
    )
    if access_point is None:
        return Refusal("EFSMountFailureException", f"there is no access point {mounts[0]['Arn']}")
    subnets = [_subnet(call, each) for each in vpc_config.get("SubnetIds", [])]
    reached = {
        call.backend("ec2").get_subnet(each.subnet_id).availability_zone
        for each in list(efs.mount_targets_by_id.values())
        if each.file_system_id == access_point.file_system_id
    }
    if all(subnet and subnet.availability_zone in reached for subnet in subnets):
        return None
    text = "does not have mount targets created in all availability zones the function will execute in"
    return Refusal("InvalidParameterValueException", f"EFS file system {access_point.file_system_id} {text}.")


# The network


@rule(
    "ec2:DisassociateVpcCidrBlock",
    source="https://github.com/hashicorp/terraform-provider-aws/issues/39854 and 40791 show the answer",
)
def ipv6_block_in_use(call: Call) -> Refusal | None:
    ec2, association = call.backend("ec2"), call.parameters["AssociationId"]
    for vpc in list(ec2.vpcs.values()):
        block = vpc._cidr_block_association_set.get(association, {}).get("cidr_block", "")
        if "::" not in block:
            continue
        for subnet in _subnets(call):
            for used in subnet.ipv6_cidr_block_association_set:
                if subnet.vpc_id == vpc.id and _within(used["ipv6CidrBlock"], block):
                    text = f"The vpc {vpc.id} currently has a subnet within CIDR block {block}"
                    return Refusal("InvalidCidrBlock.InUse", text)
    return None


@rule(
    "ec2:DeleteSubnet",
    source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html: the interfaces of a "
    "function stay in a subnet while a function or a published version uses it",
)
def subnet_with_an_interface(call: Call) -> Refusal | None:
    subnet = call.parameters["SubnetId"]
    users = [user for user, subnets, _ in _attached(call) if subnet in subnets]
    if not users:
        return None
    text = f"The subnet '{subnet}' has dependencies and cannot be deleted: {', '.join(users)}"
    return Refusal("DependencyViolation", text)


@rule(
    "ec2:DeleteSecurityGroup",
    source='the model of the API: "associated with an instance or network interface, is referenced by '
    'another security group in the same VPC": DependencyViolation',
)
def security_group_with_an_interface(call: Call) -> Refusal | None:
    group = call.parameters.get("GroupId", "")
    users = [user for user, _, groups in _attached(call) if group in groups]
    if not users:
        return None
    return Refusal("DependencyViolation", f"resource {group} has a dependent object: {', '.join(users)}")


@rule(
    "ec2:DeleteSubnet",
    "ec2:DeleteSecurityGroup",
    source="https://github.com/awslabs/aws-support-tools/pull/174 and "
    "https://github.com/terraform-aws-modules/terraform-aws-lambda/issues/310: Lambda deletes interfaces "
    "with the execution role, and never where the role or its policy went first. That it takes up to 45 "
    "minutes is left out; of functions that share an interface one role is taken to be enough",
)
def interface_that_no_role_is_left_to_delete(call: Call) -> Refusal | None:
    what = call.parameters.get("SubnetId") or call.parameters.get("GroupId", "")
    roles = {each.role for each in interfaces if what == each.subnet or what in each.groups}
    if not roles or any(_allows(call, role, "ec2:DeleteNetworkInterface") for role in roles):
        return None
    text = f"{what} has dependencies and cannot be deleted: an interface of {', '.join(sorted(roles))}"
    return Refusal("DependencyViolation", text)


@rule(
    "ec2:CreateVpcEndpoint",
    "ec2:ModifyVpcEndpoint",
    source="https://github.com/eksctl-io/eksctl/issues/4377 shows the answer",
)
def second_way_to_s3_in_a_route_table(call: Call) -> Refusal | None:
    given = call.parameters
    asked = {*(given.get("RouteTableIds") or []), *(given.get("AddRouteTableIds") or [])}
    for each in list(call.backend("ec2").vpc_end_points.values()):
        of_another = each.id != given.get("VpcEndpointId") and each.state != "deleted"
        gateway = str(each.vpc_endpoint_type or "Gateway").lower() == "gateway"
        service = given.get("ServiceName", each.service_name)
        for table in sorted(asked & set(each.route_table_ids)):
            if of_another and gateway and each.service_name == service:
                prefix = each.destination_prefix_list_id
                text = f"route table {table} already has a route with destination-prefix-list-id {prefix}"
                return Refusal("RouteAlreadyExists", text)
    return None


@rule(
    "ec2:DetachInternetGateway",
    source='the model of the API: "must not contain any running instances with Elastic IP addresses"; a NAT '
    "gateway holds one (https://github.com/carina-rs/carina/issues/1088)",
)
def internet_gateway_with_addresses_behind_it(call: Call) -> Refusal | None:
    vpc = call.parameters["VpcId"]
    gateways = call.backend("ec2").nat_gateways.values()
    if not any(each.vpc_id == vpc and each.state == "available" for each in list(gateways)):
        return None
    text = (
        f"Network {vpc} has some mapped public address(es). Please unmap them before detaching the gateway."
    )
    return Refusal("DependencyViolation", text)


@rule(
    "ec2:ReleaseAddress",
    source='the model of the API: "You must disassociate the Elastic IP address before you can release it. '
    'Otherwise, Amazon EC2 returns an error (InvalidIPAddress.InUse)"',
)
def address_of_a_nat_gateway(call: Call) -> Refusal | None:
    allocation = call.parameters.get("AllocationId")
    for each in list(call.backend("ec2").nat_gateways.values()):
        used = {address.get("allocationId") for address in each.address_set}
        if each.state == "available" and allocation in used:
            text = f"The address with allocation id [{allocation}] is in use by {each.id}"
            return Refusal("InvalidIPAddress.InUse", text)
    return None


# Functions


@rule(
    "iam:CreateRole",
    "iam:PutRolePermissionsBoundary",
    source="the model of the API (PutRolePermissionsBoundary: NoSuchEntityException); what `rosa create "
    "operator-roles --permissions-boundary` prints has the words",
)
def boundary_that_does_not_exist(call: Call) -> Refusal | None:
    boundary = call.parameters.get("PermissionsBoundary")
    if not boundary or boundary in call.backend("iam").managed_policies:
        return None
    return Refusal("NoSuchEntity", f"Scope ARN: {boundary} does not exist or is not attachable.")


@rule(
    "lambda:CreateFunction",
    "lambda:UpdateFunctionConfiguration",
    source="https://github.com/terraform-aws-modules/terraform-aws-lambda/issues/326 shows the answer",
)
def role_that_may_not_attach_to_a_vpc(call: Call) -> Refusal | None:
    if not (call.parameters.get("VpcConfig") or {}).get("SubnetIds"):
        return None
    function = _functions(call).get(_name(call.parameters["FunctionName"]))
    role = call.parameters.get("Role") or (function.role if function else "")
    if _allows(call, role, "ec2:CreateNetworkInterface"):
        return None
    text = "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"
    return Refusal("InvalidParameterValueException", text)


@rule(
    "lambda:CreateFunction",
    "lambda:UpdateFunctionConfiguration",
    source="https://github.com/keboola/developer-portal/issues/81 shows the answer; AWS documents no list",
)
def zone_without_lambda(call: Call) -> Refusal | None:
    subnets = (call.parameters.get("VpcConfig") or {}).get("SubnetIds") or []
    found = [_subnet(call, each) for each in subnets]
    if not any(each and each.availability_zone in call.limits.without_lambda for each in found):
        return None
    text = "The provided subnets contain availability zone Lambda doesn't support. Please use a different set"
    return Refusal("InvalidParameterValueException", f"{text} of subnets.")


@rule(
    "lambda:CreateFunction",
    "lambda:UpdateFunctionCode",
    source="https://github.com/aws/aws-lambda-roadmap/issues/82 shows the answer. An image that nobody "
    "pushed to the emulated ECR is taken for a good one",
)
def image_that_is_an_index(call: Call) -> Refusal | None:
    code = call.parameters.get("Code") or call.parameters
    repository, _, digest = str(code.get("ImageUri") or "").partition("@")
    known = call.backend("ecr").repositories.get(repository.partition("/")[2])
    for image in list(known.images) if known else []:
        content = json.loads(image.image_manifest)
        if image.image_digest == digest and "manifests" in content:
            text = "The image manifest, config or layer media type for the source image"
            return Refusal("InvalidParameterValueException", f"{text} {code['ImageUri']} is not supported.")
    return None


@rule(
    "lambda:PutFunctionConcurrency",
    "lambda:PutProvisionedConcurrencyConfig",
    source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html (the minimum); "
    "https://github.com/anomalyco/sst/issues/5829 and "
    "https://github.com/aws-samples/sample-one-click-generative-ai-solutions/issues/3 show the answers",
)
def less_than_the_unreserved_minimum(call: Call) -> Refusal | None:
    name = _name(call.parameters["FunctionName"])
    taken = dict(_reserved(call))
    if call.model.name == "PutFunctionConcurrency":
        what, taken[name] = "ReservedConcurrentExecutions", call.parameters["ReservedConcurrentExecutions"]
    else:
        # Within a reservation it takes nothing more from the others.
        what, wanted = "ConcurrentExecutions", call.parameters["ProvisionedConcurrentExecutions"]
        taken[name] = max(taken.get(name, 0), wanted)
    if call.limits.concurrency - sum(taken.values()) >= call.limits.unreserved:
        return None
    lowest = f"below its minimum value of [{call.limits.unreserved}]"
    text = f"Specified {what} for function decreases account's UnreservedConcurrentExecution {lowest}."
    return Refusal("InvalidParameterValueException", text)


@rule(
    "lambda:PutProvisionedConcurrencyConfig",
    source="https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html: not for $LATEST, and "
    "not more than the function has reserved",
)
def provisioned_concurrency_out_of_place(call: Call) -> Refusal | None:
    name, qualifier = _name(call.parameters["FunctionName"]), call.parameters["Qualifier"]
    if qualifier == "$LATEST":
        text = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        return Refusal("InvalidParameterValueException", text)
    reserved = dict(_reserved(call)).get(name)
    if reserved is not None and call.parameters["ProvisionedConcurrentExecutions"] > reserved:
        text = f"Requested Provisioned Concurrency should not be greater than {reserved}, what is reserved"
        return Refusal("InvalidParameterValueException", text)
    return None


@rule(
    "lambda:CreateFunction",
    "lambda:UpdateFunctionConfiguration",
    source="https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html (unsupported features): no EFS, no "
    "ephemeral storage over 512 MB",
)
def snapstart_with_what_it_does_not_go_with(call: Call) -> Refusal | None:
    given = call.parameters
    if (given.get("SnapStart") or {}).get("ApplyOn", "None") == "None":
        return None
    storage = (given.get("EphemeralStorage") or {}).get("Size", 512)
    against = ["FileSystemConfigs"] if given.get("FileSystemConfigs") else []
    against += ["EphemeralStorage"] if storage > 512 else []
    if not against:
        return None
    return Refusal("InvalidParameterValueException", f"SnapStart does not support {', '.join(against)}")


@rule(
    "lambda:CreateFunctionUrlConfig",
    "lambda:UpdateFunctionUrlConfig",
    source="the model of the API: `Qualifier` of a function URL is the name of an alias",
)
def url_of_something_else_than_an_alias(call: Call) -> Refusal | None:
    qualifier, name = call.parameters.get("Qualifier"), _name(call.parameters["FunctionName"])
    if qualifier is None or name not in _functions(call):
        return None
    if any(alias.name == qualifier for alias in call.backend("lambda").list_aliases(name)):
        return None
    return Refusal("ResourceNotFoundException", f"Function not found: {name}:{qualifier}")


@rule(
    "lambda:DeleteFunction",
    source="https://docs.aws.amazon.com/lambda/latest/dg/API_DeleteFunction.html (Qualifier): none that "
    "an alias references",
)
def version_that_an_alias_weighs(call: Call) -> Refusal | None:
    version, name = call.parameters.get("Qualifier"), _name(call.parameters["FunctionName"])
    if version is None or name not in _functions(call):
        return None
    for alias in call.backend("lambda").list_aliases(name):
        weighed = {
            str(alias.function_version),
            *((alias.routing_config or {}).get("AdditionalVersionWeights") or {}),
        }
        if str(version) in weighed:
            text = f"Version {version} is referenced by alias {alias.name}"
            return Refusal("ResourceConflictException", text)
    return None


# What moto knows


def _functions(call: Call) -> dict[str, Any]:
    return {each.function_name: each for each in list(call.backend("lambda").list_functions())}


def _reserved(call: Call) -> Iterator[tuple[str, int]]:
    for name, function in _functions(call).items():
        if function.reserved_concurrency is not None:
            yield name, int(function.reserved_concurrency)


def _attached(call: Call) -> Iterator[tuple[str, set[str], set[str]]]:
    """(who, subnets, security groups) of each function, published version and mount target."""
    functions = call.backend("lambda")
    for name in _functions(call):
        for version in list(functions.list_versions_by_function(name)):
            config = version._vpc_config or {}
            yield (
                f"{name}:{version.version}",
                set(config.get("SubnetIds") or []),
                set(config.get("SecurityGroupIds") or []),
            )
    for target in list(call.backend("efs").mount_targets_by_id.values()):
        yield target.mount_target_id, {target.subnet_id}, set(target.security_groups or [])


def _allows(call: Call, role_arn: str, action: str) -> bool:
    """Whether an inline policy of the role, which must still be there, names the action."""
    roles = [each for each in list(call.backend("iam").roles.values()) if each.arn == role_arn]
    return any(action in str(document) for role in roles for document in role.policies.values())


def _subnets(call: Call) -> list[Any]:
    return [each for zone in list(call.backend("ec2").subnets.values()) for each in list(zone.values())]


def _subnet(call: Call, identifier: str) -> Any:
    return next((each for each in _subnets(call) if each.id == identifier), None)


def _name(function: str) -> str:
    """Of a function given as name or ARN, with or without a version."""
    parts = function.split(":")
    return parts[6] if function.startswith("arn:") else parts[0]


def _within(block: str, other: str) -> bool:
    inner, outer = ipaddress.ip_network(block, strict=False), ipaddress.ip_network(other, strict=False)
    return (
        isinstance(inner, ipaddress.IPv6Network)
        and isinstance(outer, ipaddress.IPv6Network)
        and inner.subnet_of(outer)
    )


def _statements(policy: str | None) -> list[dict[str, Any]]:
    try:
        return _listed(json.loads(policy or "{}").get("Statement"))
    except ValueError:
        return []


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, (str, dict)) else [value]
