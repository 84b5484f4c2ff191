"""The Hub token: in Secrets Manager, readable for the warm-up's role alone."""

from __future__ import annotations

from collections.abc import Mapping

from ..protocol.errors import ErrorKind, WarmupError


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
