"""hf-lambda: each script in inference/ becomes a Lambda that answers from a warmed cache of models."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.cache import ModelCache
from infra.function import InferenceFunction
from infra.image import InferenceImage
from infra.network import Network
from infra.observability import Observability
from infra.role import ExecutionRole
from infra.settings import read_settings
from infra.staging import StagingBucket
from infra.warming import Warming
from infra.warmup_function import WarmupFunction

settings, scripts = read_settings(Path(__file__).with_name("inference"))
account, endpoints = settings.account, settings.endpoints
tags = {"project": pulumi.get_project(), "stack": pulumi.get_stack(), **settings.tags}
provider = aws.Provider("aws", region=account.region, profile=account.profile, default_tags={"tags": tags})
opts = pulumi.ResourceOptions(providers=[provider])

network = Network("network", az_count=settings.az_count, egress=settings.egress, opts=opts)
staging = None
if settings.egress == "none":
    staging = StagingBucket("staging", network=network, region=account.region, opts=opts)

# Roles come before the cache: its policy names who may read and who may write.
warmup_role = ExecutionRole("warmup", log_retention_days=settings.log_retention_days, opts=opts)
roles = {
    name: ExecutionRole(name, log_retention_days=endpoint.log_retention_days, opts=opts)
    for name, endpoint in endpoints.items()
}
writers = [warmup_role, *(roles[name] for name, endpoint in endpoints.items() if endpoint.cold_download)]
cache = ModelCache(
    "cache", network=network, readers=roles.values(), writers=writers, protect=settings.protect, opts=opts
)
image = InferenceImage("image", settings=settings, opts=opts)

parts: dict[str, Any] = {"image": image, "network": network, "cache": cache, "settings": settings}
warmup = WarmupFunction("warmup", role=warmup_role, staging=staging, **parts, opts=opts)
functions = {name: InferenceFunction(name, role=roles[name], **parts, opts=opts) for name in endpoints}
Observability("observability", settings=settings, functions=functions, warmup=warmup, opts=opts)
if settings.warm_on_deploy:
    after = pulumi.ResourceOptions(depends_on=[warmup])
    Warming("warming", scripts=scripts, warmup=warmup, image=image, account=account, opts=after)

pulumi.export("functions", {name: function.arn for name, function in functions.items()})
for name, function in functions.items():
    pulumi.export(f"{name}Arn", function.arn)
pulumi.export("functionUrls", {name: function.url for name, function in functions.items() if function.url})
pulumi.export("warmupArn", warmup.arn)
pulumi.export("cache", cache.summary)
pulumi.export("imageUri", image.uri)
if staging:
    pulumi.export("stagingBucket", staging.name)
