"""The function that fills the cache."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from .cache import ModelCache
from .image import InferenceImage
from .mounted import mounted_function
from .naming import function_name
from .network import Network
from .role import ExecutionRole
from .settings import Settings
from .staging import StagingBucket

WARMUP_TIMEOUT_S = 900
"""Lambda's longest; the warm-up stops before it and says what is left."""


class WarmupFunction(pulumi.ComponentResource):
    """The only writer of the cache; `python -m warmup` invokes it and asks how far it is."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        image: InferenceImage,
        network: Network,
        staging: StagingBucket | None,
        cache: ModelCache,
        role: ExecutionRole,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:WarmupFunction", name, None, opts)
        statements = [cache.mount_statement(write=True)]
        environment: dict[str, pulumi.Input[str]] = {
            "HF_ENDPOINT": settings.hub_endpoint,
            "PREPARE_TOLERANCE": json.dumps(settings.tolerance),
        }
        if network.dual_stack:
            environment["AWS_USE_DUALSTACK_ENDPOINT"] = (
                "true"  # Secrets Manager too is reached over IPv6 alone
            )
        if staging:
            environment["STAGING_BUCKET"] = staging.name
            statements.append(staging.read_statement())
        elif settings.hf_token:
            secret = self._secret(name, settings.hf_token)
            environment["HF_TOKEN_SECRET_ARN"] = secret.arn
            statements.append(
                {
                    "Sid": "ReadHubToken",
                    "Effect": "Allow",
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": secret.arn,
                }
            )
        policy = role.allow("warm", statements, parent=self)
        function = mounted_function(
            name,
            command="warmup.worker.handler.handler",
            image=image,
            target="full",
            architecture=settings.architecture,
            memory_mb=settings.warmup_memory_mb,
            timeout_s=WARMUP_TIMEOUT_S,
            environment=environment,
            network=network,
            security_group_id=network.download_group_id,
            cache=cache,
            role=role,
            depends_on=[policy, *(staging.ready if staging else [])],
            parent=self,
            ephemeral_storage={"size": 10240},
        )
        # Lambda would run a failed warm-up twice more, minutes later and beside the command's own retry.
        aws.lambda_.FunctionEventInvokeConfig(
            name,
            function_name=function.id,
            maximum_retry_attempts=0,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn, self.name = function.arn, function.id
        self.register_outputs({"arn": self.arn})

    def _secret(self, name: str, hf_token: pulumi.Output[str]) -> aws.secretsmanager.Secret:
        child = pulumi.ResourceOptions(parent=self)
        secret = aws.secretsmanager.Secret(
            f"{name}-hf-token",
            description=f"Token with which {function_name(name)} reads private and gated models",
            recovery_window_in_days=0,  # kept, it would outlive `pulumi destroy`; whoever set it has it
            opts=child,
        )
        aws.secretsmanager.SecretVersion(
            f"{name}-hf-token", secret_id=secret.id, secret_string=hf_token, opts=child
        )
        return secret
