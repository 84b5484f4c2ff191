"""What a function sees in its environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from local.hub.address import HubAddress
from local.program.functions import Function

REGION = "us-east-1"
_FOR_THE_HUB = (
    "HF_TOKEN",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)
"""What the way to a real Hub may need; only functions that download get it."""


def machine_environment(function: Function, hub: HubAddress, environ: Mapping[str, str]) -> dict[str, str]:
    """What this machine adds to the environment of `function`; `environ` is that of the machine."""
    upstream = hub.upstream if function.downloads else None
    warm = "make up" if function.models else "make warm"
    given = {"HF_ENDPOINT": upstream or hub.counted(function.name), "WARM_COMMAND": warm}
    if upstream:
        given |= {key: environ[key] for key in _FOR_THE_HUB if key in environ}
    return given


def aws_environment(function: Function, bucket_url: str | None, gateway_url: str) -> dict[str, str]:
    """Where `function` finds S3 and Lambda, if it has to do with them; past any proxy on the way to a Hub."""
    given = {}
    if bucket_url is not None and function.reaches_s3:
        given["AWS_ENDPOINT_URL_S3"] = bucket_url
    if function.is_release or (function.is_relay and given):
        proxies = ",".join(filter(None, ("127.0.0.1", os.environ.get("NO_PROXY"))))
        given |= {"AWS_ENDPOINT_URL_LAMBDA": gateway_url, "NO_PROXY": proxies, "no_proxy": proxies}
    return given


def environment(
    function: Function,
    *,
    root: Path,
    tmp: Path,
    cache: Path | None,
    extra: Mapping[str, str],
    packages: Path | None = None,
    models: Path | None = None,
) -> dict[str, str]:
    """Lambda's own variables, the program's, and `extra` on top.

    `tmp` is where the instance's /tmp really lies; `cache`, where the mount does, None if it is mounted;
    `packages`, where those of inference/requirements.txt are, which are a layer of the full image alone;
    `models`, where those are that its image would have.
    """
    code = [root / "inference", root]
    if packages is not None and packages.is_dir() and function.target == "full":
        code.append(packages)
    declared = _moved({**function.environment, **extra}, "/tmp", tmp)
    if cache and function.mount:
        declared = _moved(declared, function.mount, cache)
    if models and function.models:
        declared = _moved(declared, function.models, models)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "HOME": "/home/sbx_user1051",  # does not exist, as on Lambda
        "TMPDIR": str(tmp),
        "PYTHONPATH": os.pathsep.join(map(str, code)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_s),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.function_name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(root / "inference"),
        "_HANDLER": function.command,
        **declared,
    }


def _moved(variables: Mapping[str, str], prefix: str, into: Path) -> dict[str, str]:
    """Paths at or below `prefix` become paths below `into`."""
    return {
        key: f"{into}{value[len(prefix) :]}" if value == prefix or value.startswith(prefix + "/") else value
        for key, value in variables.items()
    }
