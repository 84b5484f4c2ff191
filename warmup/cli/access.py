"""As whom, where and how often AWS is asked: all clients of boto3 outside Lambda are made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Protocol

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.records import OMIT_DEFAULT, Json, Key, Record, WrongShape

if TYPE_CHECKING:
    from botocore.client import ClientMeta

_RETRIES = {"mode": "standard", "total_max_attempts": 5}
_SIGN_IN = "Set AWS_PROFILE or the stack's aws:profile, or run aws configure sso / aws login"
_ABOUT_CREDENTIALS = (
    exceptions.ConfigNotFound,
    exceptions.ConfigParseError,
    exceptions.CredentialRetrievalError,
    exceptions.InvalidConfigError,
    exceptions.LoginError,
    exceptions.MissingDependencyException,
    exceptions.NoAuthTokenError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_REFUSED_CREDENTIALS = (
    *("ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException"),
    *("InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSignatureException"),
)
_ALIASES = {"lambda": ("awslambda",), "logs": ("cloudwatchlogs", "cloudwatchlog"), "s3": ("s3api",)}
"""What the provider also calls a service in `endpoints`; else its names are boto3's."""


class Client(Protocol):
    """A client of boto3: its operations come from AWS's description of the service, none from Python code."""

    meta: ClientMeta
    exceptions: Json

    def __getattr__(self, operation: str) -> Callable[..., Json]: ...


@dataclass(frozen=True)
class Role(Record):
    """A role to take before anything is asked of AWS; the ones after it are taken with it."""

    role_arn: Annotated[str, Key("roleArn")]
    session_name: Annotated[str, Key("sessionName")] = "hf-lambda"
    external_id: Annotated[str | None, Key("externalId"), OMIT_DEFAULT] = None
    policy: Annotated[str | None, OMIT_DEFAULT] = None
    policy_arns: Annotated[tuple[str, ...] | None, Key("policyArns"), OMIT_DEFAULT] = None
    source_identity: Annotated[str | None, Key("sourceIdentity"), OMIT_DEFAULT] = None
    tags: Annotated[Mapping[str, str] | None, OMIT_DEFAULT] = None
    transitive_tag_keys: Annotated[tuple[str, ...] | None, Key("transitiveTagKeys"), OMIT_DEFAULT] = None


@dataclass(frozen=True)
class Access(Record):
    """What a stack's `aws:` config means for a client of boto3; the keys are that config's.

    Where it says nothing the environment does, as for any other tool of AWS. All clients share one session,
    so that a role is taken once, and again when it expires.
    """

    region: str
    profile: str | None = None
    allowed_account_ids: Annotated[tuple[str, ...], Key("allowedAccountIds")] = ()
    forbidden_account_ids: Annotated[tuple[str, ...], Key("forbiddenAccountIds")] = ()
    assume_roles: Annotated[tuple[Role, ...], Key("assumeRoles")] = ()
    endpoints: tuple[Mapping[str, str], ...] = ()
    retry_mode: Annotated[str | None, Key("retryMode")] = None
    max_retries: Annotated[int | None, Key("maxRetries")] = None

    def client(self, service: str, **config: Json) -> Client:
        """A client of boto3; `config` are arguments of botocore's Config.

        Raises WarmupError where there are no credentials, or where they are of an account that the config
        does not allow.
        """
        try:
            if self.allowed_account_ids or self.forbidden_account_ids:
                self._check_account()
            return self._client(self.session, service, **config)
        except (BotoCoreError, ClientError) as error:
            raise self.problem(error) or error from error

    def problem(self, error: BotoCoreError | ClientError) -> WarmupError | None:
        """What is wrong with the credentials; None where `error` is about something else."""
        if isinstance(error, _ABOUT_CREDENTIALS):
            return _credentials(f"no usable AWS credentials: {str(error).strip().rstrip('.')}. {_SIGN_IN}")
        if not isinstance(error, ClientError):
            return None
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if error.operation_name == "AssumeRole":
            roles = ", ".join(role.role_arn for role in self.assume_roles)
            return _credentials(f"cannot take the role of aws:assumeRoles ({roles}): {code}: {message}")
        if code in _REFUSED_CREDENTIALS:
            return _credentials(f"AWS refuses your credentials ({code}). Sign in again")
        return None

    def wrong_account(self, arn: str) -> WarmupError | None:
        """That whoever asks is of another account than `arn`; None where that is not so, or not known."""
        try:
            asking, owner = self.account_id, arn.split(":")[4]
        except (BotoCoreError, ClientError):
            return None
        if asking == owner:
            return None
        return _credentials(
            f"your credentials are of account {asking}, and the stack is in {owner}. {_SIGN_IN}"
        )

    @cached_property
    def session(self) -> boto3.Session:
        session = boto3.Session(region_name=self.region, profile_name=self.profile)
        for role in self.assume_roles:
            session = self._as_role(session, role)
        return session

    @cached_property
    def account_id(self) -> str:
        """Of whoever asks."""
        return str(self._client(self.session, "sts").get_caller_identity()["Account"])

    def _check_account(self) -> None:
        """The provider refuses to deploy with the wrong account; what runs later must not work with it."""
        allowed, forbidden = self.allowed_account_ids, self.forbidden_account_ids
        if (allowed and self.account_id not in allowed) or self.account_id in forbidden:
            rule = f"aws:allowedAccountIds has {', '.join(allowed)}" if allowed else "aws:forbiddenAccountIds"
            raise _credentials(
                f"your credentials are of account {self.account_id}, which this stack does not allow "
                f"({rule}). {_SIGN_IN}"
            )

    def _as_role(self, session: boto3.Session, role: Role) -> boto3.Session:
        wanted: dict[str, Json] = {
            "RoleArn": role.role_arn,
            "RoleSessionName": role.session_name,
            "ExternalId": role.external_id,
            "Policy": role.policy,
            "PolicyArns": role.policy_arns and [{"arn": arn} for arn in role.policy_arns],
            "SourceIdentity": role.source_identity,
            "Tags": role.tags and [{"Key": key, "Value": value} for key, value in role.tags.items()],
            "TransitiveTagKeys": role.transitive_tag_keys and list(role.transitive_tag_keys),
        }
        given = {key: value for key, value in wanted.items() if value is not None}

        def take() -> dict[str, str]:
            credentials = self._client(session, "sts").assume_role(**given)["Credentials"]
            return {
                "access_key": credentials["AccessKeyId"],
                "secret_key": credentials["SecretAccessKey"],
                "token": credentials["SessionToken"],
                "expiry_time": credentials["Expiration"].isoformat(),
            }

        taken = botocore.session.Session()
        taken.register_component("credential_provider", CredentialResolver([_TakenRole(take)]))
        return boto3.Session(region_name=self.region, botocore_session=taken)

    def _client(self, session: boto3.Session, service: str, **config: Json) -> Client:
        given = {"mode": self.retry_mode, "total_max_attempts": self.max_retries}
        retries = {**_RETRIES, **{key: value for key, value in given.items() if value}}
        name: Json = service  # boto3's stubs know each by its literal name
        client: Client = session.client(
            name,
            endpoint_url=self._endpoint(service),
            config=Config(**{"retries": retries, **config}),
        )
        return client

    def _endpoint(self, service: str) -> str | None:
        names = (service, *_ALIASES.get(service, ()))
        return next((each[name] for each in self.endpoints for name in names if each.get(name)), None)


class _TakenRole(CredentialProvider):
    """Credentials that are had anew before they expire: a warm-up may take longer than they last."""

    METHOD = "assume-role"

    def __init__(self, take: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._take = take

    def load(self) -> RefreshableCredentials:
        """Takes the role at once, so that a refusal is met where a client is made."""
        return RefreshableCredentials.create_from_metadata(
            metadata=self._take(), refresh_using=self._take, method=self.METHOD
        )


def read_access(config: Mapping[str, Json], region: str) -> Access:
    """From a stack's config, as `pulumi config --json` prints it. Raises WrongShape."""
    try:
        given = {key.removeprefix("aws:"): _value(config[key]) for key in config if key.startswith("aws:")}
        if "maxRetries" in given:
            given["maxRetries"] = int(given["maxRetries"])
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise WrongShape(f"aws: keys of the config: {error}") from error
    return Access.from_json({**given, "region": region})


def gateway_client(url: str, region: str, **config: Json) -> Client:
    """Of a Lambda API that is not AWS's: it checks no signature, but boto3 does not send without one."""
    name: Json = "lambda"
    client: Client = boto3.client(
        name,
        region_name=region,
        endpoint_url=url,
        config=Config(**{"retries": _RETRIES, **config}),
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    return client


def _value(entry: Json) -> Json:
    """Of one key: lists and objects come parsed, unless they were set as text."""
    value = entry.get("objectValue", entry["value"])
    return json.loads(value) if isinstance(value, str) and value.startswith(("[", "{")) else value


def _credentials(message: str) -> WarmupError:
    return WarmupError(ErrorKind.CREDENTIALS, message)
