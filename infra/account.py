"""Where and as whom the stack is deployed: what Pulumi's own `aws:` config says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal

import pulumi
from annotated_types import Ge
from pydantic import BeforeValidator

from warmup.cli.access import Access, Client
from warmup.protocol.errors import WarmupError
from warmup.protocol.records import Json

from .keys import Allowed, Keys, Names, WholeNumber, read_object


class AssumeRole(Keys):
    """A role to take before anything is asked of AWS; the ones after it are taken with it."""

    role_arn: str
    session_name: str = "hf-lambda"
    external_id: str | None = None
    duration: str | None = None
    """For the provider; clients of ours take the role again when it expires."""
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

    def provider_arguments(self) -> dict[str, Json]:
        """Arguments of aws.Provider, without those that are not set."""
        # It hands what is within them to the plugin as it is, so their keys are not Python's.
        given = self.model_dump(exclude_none=True, by_alias=True)
        fields = type(self).model_fields.items()
        return {name: given[str(field.alias)] for name, field in fields if given.get(str(field.alias))}

    @cached_property
    def access(self) -> Access:
        """How the program itself, and every command after it, asks AWS: as the provider does."""
        return Access.from_json(self.model_dump(mode="json", exclude_none=True, by_alias=True))

    def client(self, service: str) -> Client:
        """A client of boto3. Raises RunError where there are no credentials for it."""
        try:
            return self.access.client(service)
        except WarmupError as error:
            raise pulumi.RunError(str(error)) from error
