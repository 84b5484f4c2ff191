"""Where and as whom the stack is deployed: what Pulumi's own `aws:` config says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import boto3
from annotated_types import Ge
from botocore.config import Config
from pydantic import BeforeValidator

from .keys import Allowed, Keys, Names, WholeNumber, read_object


class AssumeRole(Keys):
    """A role to take before anything is asked of AWS; the ones after it are taken with it."""

    role_arn: str
    session_name: str = "hf-lambda"
    external_id: str | None = None
    duration: str | None = None
    """For the provider; what asks AWS once is done within any duration."""
    policy: str | None = None
    policy_arns: tuple[str, ...] | None = None
    source_identity: str | None = None
    tags: Mapping[str, str] | None = None
    transitive_tag_keys: tuple[str, ...] | None = None


class IgnoreTags(Keys):
    """Tags that others put on our resources, and that stay as they are."""

    keys: tuple[str, ...] | None = None
    key_prefixes: tuple[str, ...] | None = None


_ACCOUNT_IDS = Allowed('a list of account ids in quotes, for instance ["123456789012"]')


class Account(Keys):
    """Keys of the `aws:` namespace that the program takes."""

    region: Annotated[str, Allowed("a region such as us-east-1")]
    profile: Annotated[str | None, Allowed("a profile of ~/.aws/config")] = None
    allowed_account_ids: Annotated[Names, _ACCOUNT_IDS] = ()
    forbidden_account_ids: Annotated[Names, _ACCOUNT_IDS] = ()
    assume_roles: Annotated[
        tuple[AssumeRole, ...],
        BeforeValidator(read_object),
        Allowed('a list of roles, for instance [{"roleArn": "arn:aws:iam::123456789012:role/deployer"}]'),
    ] = ()
    ignore_tags: Annotated[
        IgnoreTags | None,
        BeforeValidator(read_object),
        Allowed('an object of keys and keyPrefixes, for instance {"keys": ["owner"]}'),
    ] = None
    endpoints: Annotated[
        tuple[Mapping[str, str], ...],
        BeforeValidator(read_object),
        Allowed('a list of addresses by service, for instance [{"lambda": "https://..."}]'),
    ] = ()
    retry_mode: Annotated[Literal["standard", "adaptive"] | None, Allowed("standard or adaptive")] = None
    max_retries: Annotated[Annotated[WholeNumber, Ge(0)] | None, Allowed("a whole number from 0 on")] = None

    def provider_arguments(self) -> dict[str, Any]:
        """Arguments of aws.Provider, without those that are not set."""
        # It hands what is within them to the plugin as it is, so their keys are not Python's.
        given = self.model_dump(exclude_none=True, by_alias=True)
        fields = type(self).model_fields.items()
        return {name: given[str(field.alias)] for name, field in fields if given.get(str(field.alias))}

    def client(self, service: str) -> Any:
        """A client of boto3 that asks AWS as the provider does."""
        session = boto3.Session(region_name=self.region, profile_name=self.profile)
        for role in self.assume_roles:
            session = self._as_role(session, role)
        return self._client(session, service)

    def _as_role(self, session: boto3.Session, role: AssumeRole) -> boto3.Session:
        wanted: dict[str, Any] = {
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
        credentials = self._client(session, "sts").assume_role(**given)["Credentials"]
        return boto3.Session(
            region_name=self.region,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        )

    def _client(self, session: boto3.Session, service: Any) -> Any:
        retries: dict[str, Any] = {"mode": self.retry_mode, "total_max_attempts": self.max_retries}
        return session.client(
            service,
            endpoint_url=next((each[service] for each in self.endpoints if service in each), None),
            config=Config(retries={key: value for key, value in retries.items() if value}),  # type: ignore[arg-type]
        )
