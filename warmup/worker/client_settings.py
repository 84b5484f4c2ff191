"""How huggingface_hub and hf_xet are to behave, told before they are imported, and the token they send."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from ..protocol.errors import ErrorKind, WarmupError

# By themselves hf_xet's buffers may take 2 GB and 512 MB per file; its vectored writes stall on NFS, as EFS
# is (https://github.com/vllm-project/vllm/pull/49830); blobs shared by repositories would outlive a prune.
_DEFAULTS = {
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_SIZE": "256mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_PERFILE_SIZE": "64mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "512mb",
    "HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE": "0",
    "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_VERBOSITY": "error",  # the log is one JSON line per event
}


def set_client_defaults(environ: MutableMapping[str, str]) -> None:
    """What `environ` says already stays."""
    for name, value in _DEFAULTS.items():
        environ.setdefault(name, value)


def read_token(environ: Mapping[str, str]) -> str | None:
    """From Secrets Manager where HF_TOKEN_SECRET_ARN names it, else HF_TOKEN."""
    arn = environ.get("HF_TOKEN_SECRET_ARN")
    if not arn:
        return environ.get("HF_TOKEN") or None
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        region = arn.split(":")[3]
        value = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=arn)
        token: str = value["SecretString"]
    except (BotoCoreError, ClientError, KeyError, IndexError) as error:
        raise WarmupError(
            ErrorKind.TOKEN_UNREADABLE,
            f"cannot read the Hub token from {arn} ({type(error).__name__}). Check its role and egress.",
        ) from error
    return token.strip() or None
