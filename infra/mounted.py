"""A Lambda function of the image with the model cache mounted: what endpoints and the warm-up share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from .cache import MOUNT_PATH, ModelCache
from .image import InferenceImage
from .naming import function_name
from .network import Network
from .role import ExecutionRole

CACHE_ENVIRONMENT = {
    "MODEL_CACHE": MOUNT_PATH,
    "HF_HUB_CACHE": f"{MOUNT_PATH}/hub",
    "HF_HOME": "/tmp/hf",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",  # its threads spin while numpy is imported, at every cold start
    "ORT_DISABLE_TELEMETRY": "1",  # the Linux wheels of onnxruntime send some otherwise
}


def mounted_function(
    name: str,
    *,
    command: str,
    image: InferenceImage,
    target: str,
    architecture: str,
    memory_mb: int,
    timeout_s: int,
    environment: Mapping[str, pulumi.Input[str]],
    network: Network,
    security_group_id: pulumi.Input[str],
    cache: ModelCache,
    role: ExecutionRole,
    depends_on: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
    **others: Any,
) -> aws.lambda_.Function:
    """The function of `name`; `others` are further arguments of aws.lambda_.Function.

    It waits for every mount target (Lambda mounts in all zones), for the cache's policy, for its log group,
    for what its role may do, for a network that leads where it should, and for all images: where one of them
    is refused, no function has changed.
    """
    return aws.lambda_.Function(
        function_name(name),
        package_type="Image",
        image_uri=image.uris[target],
        image_config={"commands": [command]},
        architectures=[architecture],
        memory_size=memory_mb,
        timeout=timeout_s,
        role=role.arn,
        environment={"variables": {**CACHE_ENVIRONMENT, **environment}},
        vpc_config={
            "subnet_ids": network.private_subnet_ids,
            "security_group_ids": [security_group_id],
            "ipv6_allowed_for_dual_stack": network.dual_stack,
        },
        file_system_config={"arn": cache.access_point_arn, "local_mount_path": MOUNT_PATH},
        logging_config={"log_format": "Text", "log_group": role.log_group.name},
        opts=pulumi.ResourceOptions(
            parent=parent, depends_on=[image, network, *cache.ready, role, *depends_on]
        ),
        **others,
    )
