"""The Lambda functions that the program's resources describe."""

from collections.abc import Iterable, Sequence

from hf_lambda.records import Json
from infra.naming import RELAY, RELEASE, REMOTE_CODE
from local.program.functions import (
    DEFAULT_MAX_AGE_S,
    DEFAULT_RETRIES,
    RELAY_COMMAND,
    RELEASE_COMMAND,
    REMOTE_CODE_COMMAND,
    WARMUP_COMMAND,
    Cors,
    Function,
    FunctionUrl,
)
from local.program.mock import Resource

_WRITE = "elasticfilesystem:ClientWrite"
_WARMUPS = {
    WARMUP_COMMAND: "warmup",
    RELAY_COMMAND: RELAY,
    REMOTE_CODE_COMMAND: REMOTE_CODE,
    RELEASE_COMMAND: RELEASE,
}
_ONLY_ON_AWS = ("HF_TOKEN_SECRET_ARN",)
"""Variables that name services of AWS; without this one the token is HF_TOKEN."""
_FILLED_BY_THE_COMMAND = ("STAGING_BUCKET",)
"""The same with `egress: none`: here the warm-up reaches the Hub itself."""


def functions(resources: Sequence[Resource]) -> tuple[Function, ...]:
    """The Lambda functions among `resources` with what others say of them, by name, the warm-up last."""
    targets = _targets(resources)
    found = (each for each in resources if each.type == "aws:lambda/function:Function")
    hidden = _ONLY_ON_AWS if _has_relay(resources) else (*_ONLY_ON_AWS, *_FILLED_BY_THE_COMMAND)
    made = (_function(each, resources, targets, hidden) for each in found)
    return tuple(sorted(made, key=lambda function: (not function.is_endpoint, function.name)))


def _has_relay(resources: Sequence[Resource]) -> bool:
    return any(each.type == "hf-lambda:infra:RelayFunction" for each in resources)


def _function(
    given: Resource, resources: Sequence[Resource], targets: dict[str, str], hidden: Sequence[str]
) -> Function:
    inputs = given.inputs
    command = inputs["imageConfig"]["commands"][0]
    variables = dict((inputs.get("environment") or {}).get("variables") or {})
    name = variables.get("ENDPOINT_NAME") or _WARMUPS.get(command) or command.split(".")[0]
    reserved = inputs.get("reservedConcurrentExecutions")
    later = _about(given, resources, "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    return Function(
        name=name,
        function_name=given.id,
        arn=given.outputs["arn"],
        command=command,
        environment={key: str(value) for key, value in variables.items() if key not in hidden},
        memory_mb=int(inputs.get("memorySize") or 128),
        timeout_s=int(inputs.get("timeout") or 3),
        mount=(inputs.get("fileSystemConfig") or {}).get("localMountPath"),
        writes=_may_write(inputs["role"], resources),
        target=targets.get(_digest(inputs.get("imageUri"))),
        max_instances=None if reserved is None or reserved < 0 else int(reserved),
        retries=int(later["maximumRetryAttempts"]) if "maximumRetryAttempts" in later else DEFAULT_RETRIES,
        max_age_s=int(later.get("maximumEventAgeInSeconds") or DEFAULT_MAX_AGE_S),
        keeps_results="destinationConfig" in later,
        storage_mb=int((inputs.get("ephemeralStorage") or {}).get("size") or 512),
        version=str(given.outputs["version"]) if inputs.get("publish") else None,
        snap_start=(inputs.get("snapStart") or {}).get("applyOn") == "PublishedVersions",
        image_args=_models_args(inputs.get("imageUri"), resources),
        url=_url(_about(given, resources, "aws:lambda/functionUrl:FunctionUrl")),
    )


def _url(inputs: dict[str, Json]) -> FunctionUrl | None:
    if not inputs:
        return None
    cors = inputs.get("cors")
    return FunctionUrl(inputs["authorizationType"] == "AWS_IAM", _cors(cors) if cors else None)


def _cors(inputs: dict[str, Json]) -> Cors:
    lists = ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders")
    origins, methods, headers, exposed = (tuple(inputs.get(key) or ()) for key in lists)
    age_s = int(inputs.get("maxAge") or 0)
    return Cors(origins, methods, headers, exposed, age_s, bool(inputs.get("allowCredentials")))


def _targets(resources: Iterable[Resource]) -> dict[str, str]:
    """Digest of an image -> its build target; of one with models in it, that of the image it is made from."""
    images = [each for each in resources if each.type == "docker:index/image:Image"]
    targets = {
        _digest(each.outputs["repoDigest"]): str(each.inputs["build"]["target"])
        for each in images
        if each.inputs["build"].get("target")
    }
    for each in images:
        if base := (each.inputs["build"].get("args") or {}).get("BASE_IMAGE"):
            targets.setdefault(_digest(each.outputs["repoDigest"]), targets.get(_digest(base), ""))
    return targets


def _models_args(image_uri: object, resources: Iterable[Resource]) -> dict[str, str]:
    """Of the image, where it was built for one endpoint, with its models."""
    for each in resources:
        if each.type == "docker:index/image:Image" and _digest(each.outputs["repoDigest"]) == _digest(
            image_uri
        ):
            args = each.inputs["build"].get("args") or {}
            return {key: str(value) for key, value in args.items()} if "ENDPOINT" in args else {}
    return {}


def _digest(image_uri: object) -> str:
    return str(image_uri).rpartition("@")[2]


def _about(function: Resource, resources: Sequence[Resource], type_: str) -> dict[str, Json]:
    """Inputs of the resource of a type that names `function`; empty without one."""
    names = (function.id, function.outputs["arn"])
    found = (
        each.inputs for each in resources if each.type == type_ and each.inputs.get("functionName") in names
    )
    return next(found, {})


def _may_write(role: str, resources: Sequence[Resource]) -> bool:
    """Whether a policy of the role allows `elasticfilesystem:ClientWrite`."""
    names = {role, *(each.id for each in resources if each.outputs.get("arn") == role)}
    return any(
        statement["Effect"] == "Allow" and _WRITE in statement["Action"]
        for each in resources
        if each.type == "aws:iam/rolePolicy:RolePolicy" and each.inputs.get("role") in names
        for statement in each.policy()
    )
