"""The function of one script."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from .cache import ModelCache
from .image import InferenceImage
from .mounted import mounted_function
from .network import Network
from .role import ExecutionRole
from .settings import Settings

_ALIAS = "live"


class InferenceFunction(pulumi.ComponentResource):
    """The endpoint of one script: reads the cache, and reaches nothing else."""

    arn: pulumi.Output[str]
    """To invoke it by: of the alias where instances are kept initialised, which only a version can have."""
    name: pulumi.Output[str]
    url: pulumi.Output[str] | None

    def __init__(
        self,
        name: str,  # the script's
        *,
        settings: Settings,
        image: InferenceImage,
        network: Network,
        cache: ModelCache,
        role: ExecutionRole,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:InferenceFunction", name, None, opts)
        self._name = name
        endpoint = settings.endpoints[name]
        downloads = endpoint.cold_download
        policy = role.allow("cache", [cache.mount_statement(write=downloads)], parent=self)
        function = mounted_function(
            name,
            command=f"{name}.handler",
            image=image,
            target=endpoint.image,
            architecture=settings.architecture,
            memory_mb=endpoint.memory_mb,
            timeout_s=endpoint.timeout_s,
            environment=_environment(name, settings.hub_endpoint if downloads else None),
            network=network,
            security_group_id=network.download_group_id if downloads else network.endpoint_group_id,
            cache=cache,
            role=role,
            depends_on=[policy],
            parent=self,
            reserved_concurrent_executions=endpoint.reserved_concurrency,
            publish=endpoint.provisioned_concurrency > 0,
            tags=dict(endpoint.tags),
        )
        self.name, self.arn = function.id, function.arn
        qualifier = self._provision(function, endpoint.provisioned_concurrency)
        self.url = self._open(function, qualifier, endpoint.function_url)
        self.register_outputs({"arn": self.arn, "url": self.url})

    def _provision(self, function: aws.lambda_.Function, instances: int) -> pulumi.Output[str] | None:
        if not instances:
            return None
        child = pulumi.ResourceOptions(parent=self)
        alias = aws.lambda_.Alias(
            self._name,
            name=_ALIAS,
            function_name=function.id,
            function_version=function.version,
            opts=child,
        )
        aws.lambda_.ProvisionedConcurrencyConfig(
            self._name,
            function_name=function.id,
            qualifier=alias.name,
            provisioned_concurrent_executions=instances,
            opts=child,
        )
        self.arn = alias.arn
        return alias.name

    def _open(
        self, function: aws.lambda_.Function, qualifier: pulumi.Output[str] | None, who: str
    ) -> pulumi.Output[str] | None:
        """The HTTPS address; within the account, IAM policies of the callers are enough for `iam`."""
        if who == "none":
            return None
        child = pulumi.ResourceOptions(parent=self)
        url = aws.lambda_.FunctionUrl(
            self._name,
            function_name=function.id,
            qualifier=qualifier,
            authorization_type="NONE" if who == "public" else "AWS_IAM",
            opts=child,
        )
        if who == "public":
            aws.lambda_.Permission(
                f"{self._name}-url",
                function=function.id,
                qualifier=qualifier,
                action="lambda:InvokeFunctionUrl",
                principal="*",
                function_url_auth_type="NONE",
                opts=child,
            )
            # Since October 2025 a URL needs this one too; through nothing but a URL does it let anybody in.
            aws.lambda_.Permission(
                f"{self._name}-invoke",
                function=function.id,
                qualifier=qualifier,
                action="lambda:InvokeFunction",
                principal="*",
                invoked_via_function_url=True,
                opts=child,
            )
        return url.function_url


def _environment(name: str, hub_endpoint: str | None) -> dict[str, pulumi.Input[str]]:
    """`hub_endpoint`: None where the function never downloads."""
    return {
        "ENDPOINT_NAME": name,
        "WARM_COMMAND": f"python -m warmup --stack {pulumi.get_stack()}",
        **(
            {"COLD_DOWNLOAD": "1", "HF_ENDPOINT": hub_endpoint}
            if hub_endpoint
            else {"COLD_DOWNLOAD": "0", "HF_HUB_OFFLINE": "1"}
        ),
    }
