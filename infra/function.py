"""The Lambda functions: one endpoint for each script, the warm-up that fills their cache, and its relay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from hf_lambda.api_keys import API_KEYS, digest_of
from hf_lambda.log import MESSAGES
from hf_lambda.media.stored import INPUT_BUCKET
from hf_lambda.ping import PING
from hf_lambda.records import Json
from hf_lambda.streaming import STREAMS
from warmup.cli.versions import ALIAS, MODELS, models_text
from warmup.prices import ACCOUNT_INSTANCES, busy_month_usd
from warmup.protocol.models import ModelRequest
from warmup.protocol.outputs import STACK_OUTPUTS

from .cache import MOUNT_PATH, ModelCache
from .encryption import Encryption
from .hooks import EndpointHooks, explain_error
from .image import InferenceImage
from .models import fetch_command
from .naming import function_name
from .network import Network
from .role import ExecutionRole, add_policy, make_role
from .s3_way import InputBucket, S3Way
from .safeguards import Safeguards
from .settings import Cors, EndpointSettings, Settings
from .staging import StagingBucket

_IN_A_VPC = (
    "{name} streams its answers. AWS's guide says \"Function URLs do not support response streaming within a "
    'VPC environment"; whether that means functions in a VPC, as this one is, or callers in one is not '
    "confirmed. Where the address does not stream, call the function with InvokeWithResponseStream."
)
WARMUP_TIMEOUT_S = 900
"""Lambda's longest; the warm-up stops before it and says what is left."""

RELAY_MEMORY_MB = 2048
"""It holds no model, but parts of files on their way; its speed grows with the memory."""

RELEASE_MEMORY_MB = 512
"""It asks and waits."""

_HOME_ENVIRONMENT = {
    "HF_HOME": "/tmp/hf",
    # Many libraries keep a cache at home when they are imported; Lambda's home does not exist.
    "HOME": "/tmp",
    "XDG_CACHE_HOME": "/tmp/.cache",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",  # its threads spin while numpy is imported, at every cold start
    "ORT_DISABLE_TELEMETRY": "1",  # the Linux wheels of onnxruntime send some otherwise
}
CACHE_ENVIRONMENT = {
    "MODEL_CACHE": MOUNT_PATH,
    "HF_HUB_CACHE": f"{MOUNT_PATH}/hub",
    **_HOME_ENVIRONMENT,
}
MODELS_PATH = "/opt/models"
"""Where an image has the models of its endpoint, as inference/models.Dockerfile lays them."""
_IMAGE_ENVIRONMENT = {
    "MODEL_CACHE": MODELS_PATH,
    "HF_HUB_CACHE": f"{MODELS_PATH}/hub",
    **_HOME_ENVIRONMENT,
}


@dataclass(frozen=True)
class Mount:
    """What a function needs that mounts the cache."""

    network: Network
    cache: ModelCache
    way: S3Way | None
    """From the network to S3, where any function in it reads something there."""

    @property
    def way_is_ready(self) -> list[pulumi.Resource]:
        """A function that reads something of S3 depends on these."""
        return self.way.ready if self.way else []


class InferenceFunction(pulumi.ComponentResource):
    """The endpoint of one script: reads the cache, and reaches nothing else.

    One whose models are in its image has no cache and is in no network of ours.
    """

    arn: pulumi.Output[str]
    """To invoke it by: of the alias, which serves a published version."""
    name: pulumi.Output[str]
    version: pulumi.Output[str]
    """The newest that is published; with `release: gated` it may wait."""
    function_arn: pulumi.Output[str]
    """Of the function, whatever serves."""
    log_group: pulumi.Output[str]
    log_group_arn: pulumi.Output[str]
    url: pulumi.Output[str] | None
    queues: dict[str, pulumi.Output[str]] | None
    """Addresses of what became of asynchronous requests: `answers` and `failures`."""

    def __init__(
        self,
        name: str,  # the script's
        *,
        settings: Settings,
        image: InferenceImage,
        mount: Mount | None,  # None where the models are in its image
        role: ExecutionRole,
        safeguards: Safeguards,
        hooks: EndpointHooks,
        models: Sequence[ModelRequest],  # that its script uses
        streams: bool,  # its handler answers piece by piece
        inputs: InputBucket | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:InferenceFunction", name, None, opts)
        self._name, self._streams = name, streams
        self._child = pulumi.ResourceOptions(parent=self)
        endpoint = settings.endpoints[name]
        results = _Results(name, encryption=safeguards.encryption, parent=self) if endpoint.async_ else None
        statements = [
            *safeguards.statements(endpoint.tracing, write=results is not None),
            *(results.send_statements() if results else []),
            *([inputs.statement()] if inputs else []),
        ]
        environment: dict[str, pulumi.Input[str]] = {
            MODELS: models_text(models),
            **{
                key: pulumi.Output.secret(value.get_secret_value())
                for key, value in endpoint.environment.items()
            },
            **_api_keys(endpoint),
            **({STREAMS: "1"} if streams else {}),
            **({MESSAGES: "1"} if endpoint.log_messages else {}),
            **({INPUT_BUCKET: inputs.address} if inputs else {}),
        }
        self._in_vpc = mount is not None
        policy = None
        if mount:
            network, downloads = mount.network, endpoint.cold_download
            mounts = mount.cache.mount_statement(write=downloads)
            policy = role.allow("cache", [mounts, *statements], parent=self)
            place = _beside_cache(
                name,
                mount,
                image.uris[endpoint.image],
                {**_environment(name, _hub(settings) if downloads else None), **environment},
                network.download_group_id if downloads else network.endpoint_group_id,
                [policy, *(mount.way_is_ready if inputs else [])],
            )
        else:
            if statements:
                policy = role.allow("call", statements, parent=self)
            place = _Place(
                image.endpoint_uris[name],
                {
                    **_IMAGE_ENVIRONMENT,
                    **_environment(name, None),
                    "WARM_COMMAND": f"{fetch_command([name])} && pulumi up --stack {pulumi.get_stack()}",
                    **environment,
                },
                [policy] if policy else [],
                {"snap_start": {"apply_on": "PublishedVersions"}} if endpoint.snap_start else {},
            )
        function = _function(
            name,
            command=f"{name}.handler",
            settings=settings,
            image=image,
            memory_mb=endpoint.memory_mb,
            timeout_s=endpoint.timeout_seconds,
            place=place,
            role=role,
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks.function),
            reserved_concurrent_executions=endpoint.reserved_concurrency,
            publish=True,
            tags=dict(endpoint.tags),
            **safeguards.arguments(endpoint.tracing),
        )
        alias = aws.lambda_.Alias(
            name,
            name=ALIAS,
            function_name=function.id,
            function_version=function.version,
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=hooks.alias,
                # Gated, whoever releases or rolls back moves it; the engine would move it again.
                ignore_changes=["functionVersion", "routingConfig", "description"]
                if settings.release == "gated"
                else None,
            ),
        )
        if endpoint.provisioned_concurrency:
            aws.lambda_.ProvisionedConcurrencyConfig(
                name,
                function_name=function.id,
                qualifier=alias.name,
                provisioned_concurrent_executions=endpoint.provisioned_concurrency,
                opts=self._child,
            )
        if endpoint.keep_warm:
            self._keep_warm(alias, endpoint.keep_warm, settings)
        if results and policy:
            results.deliver(function, alias, endpoint, policy)
        self.queues = results.urls if results else None
        self.name, self.arn, self.log_group = function.id, alias.arn, role.log_group.name
        self.version, self.function_arn = function.version, function.arn
        self.log_group_arn = role.log_group.arn
        self.url = None
        if endpoint.function_url != "none":
            self.url = self._open(alias, endpoint, hooks, settings.architecture)
        self.register_outputs({"arn": self.arn, "url": self.url})

    def _keep_warm(self, alias: aws.lambda_.Alias, schedule: str, settings: Settings) -> None:
        """Pings the alias; a role of its own may do that and nothing else."""
        name = f"{self._name}-keep-warm"
        role = make_role(
            name,
            service="scheduler.amazonaws.com",
            description=f"Pings {function_name(self._name)}",
            settings=settings,
            opts=self._child,
        )
        invoke = {
            "Sid": "Ping",
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": alias.arn,
        }
        policy = add_policy(name, role, [invoke], self._child)
        aws.scheduler.Schedule(
            name,
            schedule_expression=schedule,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": alias.arn,
                "role_arn": role.arn,
                "input": json.dumps(PING),
                "retry_policy": {"maximum_retry_attempts": 0},  # the next one comes by itself
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _open(
        self,
        alias: aws.lambda_.Alias,
        endpoint: EndpointSettings,
        hooks: EndpointHooks,
        architecture: str,
    ) -> pulumi.Output[str]:
        """The HTTPS address; within the account, IAM policies of the callers are enough for `iam`."""
        if self._streams and self._in_vpc:
            pulumi.log.warn(_IN_A_VPC.format(name=self._name), self)
        public = endpoint.function_url == "public"
        if public and endpoint.reserved_concurrency < 0:
            pulumi.log.warn(_unbounded(self._name, endpoint, architecture), self)
        url = aws.lambda_.FunctionUrl(
            self._name,
            function_name=alias.function_name,
            qualifier=alias.name,
            authorization_type="NONE" if public else "AWS_IAM",
            invoke_mode="RESPONSE_STREAM" if self._streams else None,
            cors=_cors(endpoint.cors),
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks.url),
        )
        if public:
            aws.lambda_.Permission(
                f"{self._name}-url",
                function=alias.function_name,
                qualifier=alias.name,
                action="lambda:InvokeFunctionUrl",
                principal="*",
                function_url_auth_type="NONE",
                opts=self._child,
            )
            # Since October 2025 a URL needs this one too; through nothing but a URL does it let anybody in.
            aws.lambda_.Permission(
                f"{self._name}-invoke",
                function=alias.function_name,
                qualifier=alias.name,
                action="lambda:InvokeFunction",
                principal="*",
                invoked_via_function_url=True,
                opts=self._child,
            )
        return url.function_url


class _Results:
    """Where Lambda itself puts what became of an asynchronous request: the function needs no way out."""

    def __init__(self, name: str, *, encryption: Encryption, parent: pulumi.Resource) -> None:
        self._name, self._child = name, pulumi.ResourceOptions(parent=parent)
        self._queues = {
            kind: aws.sqs.Queue(
                f"{name}-{kind}",
                message_retention_seconds=14 * 24 * 3600,  # SQS's longest
                # A message holds event and answer. SQS's largest:
                # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
                max_message_size=1 << 20,
                **encryption.of_queue(),
                opts=self._child,
            )
            for kind in ("answers", "failures")
        }

    @property
    def urls(self) -> dict[str, pulumi.Output[str]]:
        return {kind: queue.url for kind, queue in self._queues.items()}

    def send_statements(self) -> list[dict[str, Json]]:
        """Lambda delivers with the function's role."""
        return [
            {
                "Sid": "SendResults",
                "Effect": "Allow",
                "Action": "sqs:SendMessage",
                "Resource": [queue.arn for queue in self._queues.values()],
            }
        ]

    def deliver(
        self,
        function: aws.lambda_.Function,
        alias: aws.lambda_.Alias,
        endpoint: EndpointSettings,
        policy: aws.iam.RolePolicy,
    ) -> None:
        """Of requests to the alias, once the role may send to the queues:
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
        aws.lambda_.FunctionEventInvokeConfig(
            self._name,
            function_name=function.id,
            qualifier=alias.name,
            maximum_retry_attempts=endpoint.async_retries,
            maximum_event_age_in_seconds=endpoint.async_max_age_seconds,
            destination_config={
                "on_success": {"destination": self._queues["answers"].arn},
                "on_failure": {"destination": self._queues["failures"].arn},
            },
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[policy])),
        )


class WarmupFunction(pulumi.ComponentResource):
    """The only writer of the cache; `python -m warmup` invokes it and asks how far it is."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    log_group: pulumi.Output[str]
    hf_token: aws.secretsmanager.Secret | None
    """Of the Hub; whoever downloads may read it."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        image: InferenceImage,
        mount: Mount,
        staging: StagingBucket | None,
        role: ExecutionRole,
        safeguards: Safeguards,
        hooks: pulumi.ResourceHookBinding | None = None,  # of the function
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:WarmupFunction", name, None, opts)
        statements = [mount.cache.mount_statement(write=True), *safeguards.statements(settings.tracing)]
        tolerance = settings.tolerance.model_dump(by_alias=True, exclude_none=True)
        environment: dict[str, pulumi.Input[str]] = {
            **({} if settings.egress == "relay" else {"HF_ENDPOINT": _hub(settings)}),
            "PREPARE_TOLERANCE": json.dumps(tolerance),
            **({"IN_IMAGE": ",".join(settings.in_image)} if settings.in_image else {}),
            **({MESSAGES: "1"} if settings.log_messages else {}),
        }
        if mount.network.dual_stack:
            # Secrets Manager too is reached over IPv6 alone.
            environment["AWS_USE_DUALSTACK_ENDPOINT"] = "true"
        self.hf_token = self._secret(name, settings, safeguards)
        if staging:
            environment |= {"STAGING_BUCKET": staging.name, **_RELAYED[settings.egress]}
            statements += staging.read_statements()
        elif self.hf_token:
            environment["HF_TOKEN_SECRET_ARN"] = self.hf_token.arn
            statements.append(_read_token(self.hf_token))
        policy = role.allow("warm", statements, parent=self)
        function = _function(
            name,
            command="warmup.worker.handler.handler",
            settings=settings,
            image=image,
            memory_mb=settings.warmup_memory_mb,
            timeout_s=WARMUP_TIMEOUT_S,
            place=_beside_cache(
                name,
                mount,
                image.uris["full"],
                environment,
                mount.network.download_group_id,
                [policy, *(mount.way_is_ready if staging else [])],
            ),
            role=role,
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks),
            ephemeral_storage={"size": 10240},
            reserved_concurrent_executions=_most(settings.warmup_concurrency),
            **safeguards.arguments(settings.tracing),
        )
        _never_again(name, function, parent=self)
        self.name, self.arn, self.log_group = function.id, function.arn, role.log_group.name
        self.register_outputs({"arn": self.arn})

    def _secret(
        self, name: str, settings: Settings, safeguards: Safeguards
    ) -> aws.secretsmanager.Secret | None:
        """Kept whatever `egress` is: a change of it must not delete what `protect` guards."""
        hf_token = settings.hf_token.get_secret_value()
        if not hf_token:
            return None
        child = pulumi.ResourceOptions(parent=self)
        secret = aws.secretsmanager.Secret(
            f"{name}-hf-token",
            description=f"Token with which {function_name(name)} reads private and gated models",
            kms_key_id=safeguards.encryption.key_arn,
            recovery_window_in_days=0,  # kept, it would outlive `pulumi destroy`; whoever set it has it
            opts=pulumi.ResourceOptions(parent=self, protect=settings.protect),
        )
        aws.secretsmanager.SecretVersion(
            f"{name}-hf-token",
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(hf_token),
            opts=child,
        )
        return secret


class RelayFunction(pulumi.ComponentResource):
    """Outside the VPC: brings models from the Hub into the bucket, and may start the warm-up.

    Without a network of ours it has the internet for nothing, and neither the cache nor its mount targets.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    log_group: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        image: InferenceImage,
        staging: StagingBucket,
        warmup: WarmupFunction,
        role: ExecutionRole,
        safeguards: Safeguards,
        hooks: pulumi.ResourceHookBinding | None = None,  # of the function
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:RelayFunction", name, None, opts)
        statements = [
            *staging.write_statements(),
            {
                "Sid": "AskAndStartTheWarmup",
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": warmup.arn,
            },
            *safeguards.statements(settings.tracing, write=True),
        ]
        environment: dict[str, pulumi.Input[str]] = {
            "HF_ENDPOINT": _hub(settings),
            "STAGING_BUCKET": staging.name,
            "WARMUP_FUNCTION": warmup.arn,
            "RELAY_STORAGE_MB": str(settings.relay_storage_mb),
            **({MESSAGES: "1"} if settings.log_messages else {}),
        }
        if warmup.hf_token:
            environment["HF_TOKEN_SECRET_ARN"] = warmup.hf_token.arn
            statements.append(_read_token(warmup.hf_token))
        policy = role.allow("stage", statements, parent=self)
        function = _function(
            name,
            command="warmup.worker.relay_handler.handler",
            settings=settings,
            image=image,
            memory_mb=RELAY_MEMORY_MB,
            timeout_s=WARMUP_TIMEOUT_S,
            place=_Place(image.uris["full"], {**_HOME_ENVIRONMENT, **environment}, [policy]),
            role=role,
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks),
            ephemeral_storage={"size": settings.relay_storage_mb},
            reserved_concurrent_executions=_most(settings.warmup_concurrency),
            **safeguards.arguments(settings.tracing),
        )
        _never_again(name, function, parent=self)
        self.name, self.arn, self.log_group = function.id, function.arn, role.log_group.name
        self.register_outputs({"arn": self.arn})


class ReleaseFunction(pulumi.ComponentResource):
    """Outside the VPC: after a deployment it lets new versions serve, as `python -m warmup` does.

    A function of its own, as whoever moves an alias should be able to do nothing else: the warm-up writes the
    cache, reads what others have published, and with most of `egress` cannot reach Lambda's API.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    log_group: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        image: InferenceImage,
        functions: Mapping[str, InferenceFunction],
        workers: Mapping[str, pulumi.Output[str]],  # ARNs of what fills the cache, by their output
        gate: Mapping[str, Json],  # the output `release`
        memory_mb: Mapping[str, int],
        role: ExecutionRole,
        safeguards: Safeguards,
        hooks: pulumi.ResourceHookBinding,  # of the function
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:ReleaseFunction", name, None, opts)
        own = [each.function_arn for each in functions.values()]
        statements: list[dict[str, Json]] = [
            {
                "Sid": "MoveAliases",
                "Effect": "Allow",
                "Action": ["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetFunctionConfiguration"],
                "Resource": own,
            },
            {
                "Sid": "AskVersions",
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": [pulumi.Output.concat(arn, ":*") for arn in own],
            },
            {
                "Sid": "AskAndStartTheWarmup",
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": [*workers.values()],
            },
            *safeguards.statements(settings.tracing),
        ]
        if settings.canary:
            logs = [pulumi.Output.concat(each.log_group_arn, ":*") for each in functions.values()]
            statements.append(
                {
                    "Sid": "CountFailures",
                    "Effect": "Allow",
                    "Action": "logs:FilterLogEvents",
                    "Resource": logs,
                }
            )
        policy = role.allow("serve", statements, parent=self)
        outputs = pulumi.Output.json_dumps(
            {
                "stack": pulumi.get_stack(),
                "functions": {label: each.arn for label, each in functions.items()},
                "memoryMb": {**memory_mb},
                "release": {**gate},
                **workers,
                **({"inImage": list(settings.in_image)} if settings.in_image else {}),
            },
            separators=(",", ":"),
        )
        function = _function(
            name,
            command="warmup.worker.release_handler.handler",
            settings=settings,
            image=image,
            memory_mb=RELEASE_MEMORY_MB,
            timeout_s=WARMUP_TIMEOUT_S,
            place=_Place(
                image.uris["full"],
                {
                    **_HOME_ENVIRONMENT,
                    STACK_OUTPUTS: outputs,
                    **({MESSAGES: "1"} if settings.log_messages else {}),
                },
                [policy],
            ),
            role=role,
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks),
            **safeguards.arguments(settings.tracing),
        )
        again = {
            "Sid": "GoOn",
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": function.arn,
        }
        role.allow("go-on", [again], parent=self)
        self.name, self.arn, self.log_group = function.id, function.arn, role.log_group.name
        self.register_outputs({"arn": self.arn})


class RemoteCodeFunction(pulumi.ComponentResource):
    """The second warm-up: runs code of repositories. It has no token, no bucket, and only reads the cache."""

    arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        image: InferenceImage,
        mount: Mount,
        role: ExecutionRole,
        safeguards: Safeguards,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:RemoteCodeFunction", name, None, opts)
        statements = [mount.cache.mount_statement(write=False), *safeguards.statements(settings.tracing)]
        policy = role.allow("try", statements, parent=self)
        function = _function(
            name,
            command="warmup.worker.try_code.handler",
            settings=settings,
            image=image,
            memory_mb=settings.warmup_memory_mb,
            timeout_s=WARMUP_TIMEOUT_S,
            place=_beside_cache(
                name,
                mount,
                image.uris["full"],
                {"HF_HUB_OFFLINE": "1"},
                mount.network.endpoint_group_id,
                [policy],
            ),
            role=role,
            opts=pulumi.ResourceOptions(parent=self),
            reserved_concurrent_executions=_most(settings.warmup_concurrency),
            **safeguards.arguments(settings.tracing),
        )
        self.arn = function.arn
        self.register_outputs({"arn": self.arn})


_RELAYED = {"relay": {"RELAYED": "1"}, "none": dict[str, str]()}
"""Tells the warm-up who fills the bucket: what a relay staged has whole trees, and goes once it is cached."""


def _most(instances: int) -> int | None:
    return None if instances < 0 else instances


def _read_token(secret: aws.secretsmanager.Secret) -> dict[str, Json]:
    return {
        "Sid": "ReadHubToken",
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": secret.arn,
    }


def _never_again(name: str, function: aws.lambda_.Function, *, parent: pulumi.Resource) -> None:
    """Lambda would run what failed twice more, minutes later and beside the command's own retry."""
    aws.lambda_.FunctionEventInvokeConfig(
        name,
        function_name=function.id,
        maximum_retry_attempts=0,
        opts=pulumi.ResourceOptions(parent=parent),
    )


@dataclass(frozen=True)
class _Place:
    """What a function runs, and what it is attached to."""

    image_uri: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    depends_on: Sequence[pulumi.Resource]
    arguments: Mapping[str, Json] = field(default_factory=dict)
    """Of aws.lambda_.Function."""
    hooks: pulumi.ResourceHookBinding | None = None


def _beside_cache(
    name: str,
    mount: Mount,
    image_uri: pulumi.Input[str],
    environment: Mapping[str, pulumi.Input[str]],
    security_group_id: pulumi.Input[str],
    depends_on: Sequence[pulumi.Resource],
) -> _Place:
    """In the network, with the cache mounted; `name` is the function's.

    It waits for every mount target (Lambda mounts in all zones), for the cache's policy and for a network
    that leads where it should.
    """
    return _Place(
        image_uri,
        {**CACHE_ENVIRONMENT, **environment},
        [mount.network, *mount.cache.ready, *depends_on],
        {
            "vpc_config": {
                "subnet_ids": mount.network.private_subnet_ids,
                "security_group_ids": [security_group_id],
                "ipv6_allowed_for_dual_stack": mount.network.dual_stack,
            },
            "file_system_config": {"arn": mount.cache.access_point_arn, "local_mount_path": MOUNT_PATH},
        },
        # https://github.com/keboola/developer-portal/issues/81
        explain_error(
            f"explain-refused-zone-{name}",
            "availability zone Lambda doesn't support",
            "Lambda does not run in one of the zones of the subnets. Name others in `zones`",
        ),
    )


def _function(
    name: str,
    *,
    command: str,
    settings: Settings,
    image: InferenceImage,
    memory_mb: int,
    timeout_s: int,
    place: _Place,
    role: ExecutionRole,
    opts: pulumi.ResourceOptions,
    **others: Json,
) -> aws.lambda_.Function:
    """Waits for its image and its log group too; `others` are arguments of aws.lambda_.Function."""
    return aws.lambda_.Function(
        function_name(name),
        package_type="Image",
        image_uri=place.image_uri,
        image_config={"commands": [command]},
        architectures=[settings.architecture],
        memory_size=memory_mb,
        timeout=timeout_s,
        role=role.arn,
        environment={"variables": place.environment},
        logging_config={"log_format": "Text", "log_group": role.log_group.name},
        opts=pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(depends_on=[image, role, *place.depends_on], hooks=place.hooks), opts
        ),
        **place.arguments,
        **others,
    )


def _hub(settings: Settings) -> pulumi.Input[str]:
    return settings.keep_secret("hubEndpoint", settings.hub_endpoint)


def _environment(name: str, hub_endpoint: pulumi.Input[str] | None) -> dict[str, pulumi.Input[str]]:
    """`hub_endpoint`: None where the function never downloads."""
    return {
        "ENDPOINT_NAME": name,
        "WARM_COMMAND": f"python -m warmup --stack {pulumi.get_stack()}",
        **(
            {"COLD_DOWNLOAD": "1", "HF_ENDPOINT": hub_endpoint}
            if hub_endpoint is not None
            else {"COLD_DOWNLOAD": "0", "HF_HUB_OFFLINE": "1"}
        ),
    }


def _api_keys(endpoint: EndpointSettings) -> dict[str, pulumi.Input[str]]:
    """Their hashes: nobody who may read the function's configuration can call with one."""
    hashes = [digest_of(key.get_secret_value()) for key in endpoint.api_keys]
    return {API_KEYS: pulumi.Output.secret(",".join(hashes))} if hashes else {}


def _unbounded(name: str, endpoint: EndpointSettings, architecture: str) -> str:
    """What an address that anybody may call can come to."""
    one, all_ = (busy_month_usd(endpoint.memory_mb, count, architecture) for count in (1, ACCOUNT_INSTANCES))
    return (
        f"{name} has a public address and no reservedConcurrency: callers may keep as many instances busy as "
        f"the account has, {ACCOUNT_INSTANCES:,} unless AWS set another limit. At list prices that is "
        f"${all_:,.0f} a month, ${one:,.0f} for each. Bound it: pulumi config set --path "
        f"endpoints.{name}.reservedConcurrency 5"
    )


def _cors(cors: Cors) -> aws.lambda_.FunctionUrlCorsArgsDict | None:
    """Lambda answers a browser's OPTIONS with it, without the function."""
    if not cors.origins:
        return None
    return {"allow_origins": cors.origins, "allow_methods": cors.methods, "allow_headers": cors.headers}
