"""What the program's resources become on one machine."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.program.functions import DEFAULT_RETRIES, WARMUP_COMMAND, Function

ACCOUNT = "123456789012"
AVAILABILITY_ZONES = "abcdef"
_WRITE = "elasticfilesystem:ClientWrite"
_ONLY_ON_AWS = ("HF_TOKEN_SECRET_ARN", "STAGING_BUCKET")
"""What one machine has not; without these variables the warm-up asks the Hub itself, with HF_TOKEN."""


@dataclass(frozen=True)
class Registered:
    """A resource as it stands after the program."""

    type: str
    name: str
    id: str
    inputs: dict[str, Any]
    state: dict[str, Any]


def physical(type_: str, name: str, inputs: dict[str, Any], region: str) -> Registered:
    """The resource with an id, an ARN and the other outputs that something later refers to."""
    kind = type_.rpartition(":")[2]
    id_ = str(inputs.get("name") or f"{name}-{hashlib.sha256(f'{type_} {name}'.encode()).hexdigest()[:7]}")
    arn = f"arn:aws:{type_.split(':')[1].split('/')[0]}:{region}:{ACCOUNT}:{kind}/{id_}"
    made: dict[str, Any] = {"name": id_, "arn": arn}
    if type_ == "aws:lambda/function:Function":
        made |= {"arn": f"arn:aws:lambda:{region}:{ACCOUNT}:function:{id_}", "version": "1"}
    elif type_ == "aws:lambda/alias:Alias":
        made["arn"] = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{inputs['functionName']}:{id_}"
    elif type_ == "aws:lambda/functionUrl:FunctionUrl":
        made["functionUrl"] = f"https://{inputs['functionName']}.invalid/"
    elif type_ == "aws:ecr/repository:Repository":
        made |= {"repositoryUrl": f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{id_}", "registryId": ACCOUNT}
    elif kind == "Image":
        digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        reference = f"{str(inputs.get('imageName')).rpartition(':')[0]}@{digest}"
        made |= {"repoDigest": reference, "digest": digest}
    elif type_ == "aws:ec2/vpc:Vpc":
        made["ipv6CidrBlock"] = "2600:1f18:0:7b00::/56"
    elif type_ == "aws:iam/role:Role":
        made["arn"] = f"arn:aws:iam::{ACCOUNT}:role/{id_}"
    return Registered(type_, name, id_, inputs, {**made, **inputs, **_own(made, inputs)})


def functions(resources: Sequence[Registered]) -> tuple[Function, ...]:
    """The Lambda functions among `resources` with what others say of them, by name, the warm-up last."""
    targets = _targets(resources)
    found = (each for each in resources if each.type == "aws:lambda/function:Function")
    made = (_function(each, resources, targets) for each in found)
    return tuple(sorted(made, key=lambda function: (function.is_warmup, function.name)))


def _function(given: Registered, resources: Sequence[Registered], targets: dict[str, str]) -> Function:
    inputs = given.inputs
    command = inputs["imageConfig"]["commands"][0]
    variables = dict((inputs.get("environment") or {}).get("variables") or {})
    name = variables.get("ENDPOINT_NAME") or (
        "warmup" if command == WARMUP_COMMAND else command.split(".")[0]
    )
    reserved = inputs.get("reservedConcurrentExecutions")
    url = _about(given, resources, "aws:lambda/functionUrl:FunctionUrl")
    later = _about(given, resources, "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    return Function(
        name=name,
        function_name=given.id,
        arn=given.state["arn"],
        command=command,
        environment={key: str(value) for key, value in variables.items() if key not in _ONLY_ON_AWS},
        memory_mb=int(inputs.get("memorySize") or 128),
        timeout_s=int(inputs.get("timeout") or 3),
        mount=(inputs.get("fileSystemConfig") or {}).get("localMountPath"),
        writes=_may_write(inputs["role"], resources),
        target=targets.get(str(inputs.get("imageUri")).rpartition("@")[2]),
        max_instances=None if reserved is None or reserved < 0 else int(reserved),
        retries=int(later["maximumRetryAttempts"]) if "maximumRetryAttempts" in later else DEFAULT_RETRIES,
        url=url.get("authorizationType"),
    )


def _own(made: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs that an input of the same name must not replace by nothing."""
    return {key: value for key, value in made.items() if not inputs.get(key)}


def _targets(resources: Sequence[Registered]) -> dict[str, str]:
    """Digest of an image -> its build target."""
    return {
        each.state["digest"]: str((each.inputs.get("build") or each.inputs).get("target"))
        for each in resources
        if each.type in ("docker:index/image:Image", "docker-build:index:Image")
    }


def _about(function: Registered, resources: Sequence[Registered], type_: str) -> dict[str, Any]:
    """Inputs of the resource of a type that names `function`; empty without one."""
    names = (function.id, function.state["arn"])
    found = (
        each.inputs for each in resources if each.type == type_ and each.inputs.get("functionName") in names
    )
    return next(found, {})


def _may_write(role: str, resources: Sequence[Registered]) -> bool:
    """Whether a policy of the role allows `elasticfilesystem:ClientWrite`."""
    names = {role, *(each.id for each in resources if each.state.get("arn") == role)}
    return any(
        _allows(json.loads(each.inputs["policy"]))
        for each in resources
        if each.type == "aws:iam/rolePolicy:RolePolicy" and each.inputs.get("role") in names
    )


def _allows(policy: dict[str, Any]) -> bool:
    for statement in _listed(policy.get("Statement")):
        if statement.get("Effect") == "Allow" and _WRITE in _listed(statement.get("Action")):
            return True
    return False


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
