"""What the AWS provider says of its resources, and how Pulumi's names for the same things map to it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NAMES = ("name", "function_name", "dashboard_name", "alarm_name", "repository_name")
"""Arguments that Pulumi fills in by itself where the program gives none."""

_MODULES = {
    # Pulumi keeps in modules what the provider names after the service alone.
    "aws:cloudwatch/eventRule:EventRule": "aws_cloudwatch_event_rule",
    "aws:cloudwatch/eventTarget:EventTarget": "aws_cloudwatch_event_target",
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
    "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway": "aws_egress_only_internet_gateway",
    "aws:ec2/flowLog:FlowLog": "aws_flow_log",
    "aws:lambda/functionUrl:FunctionUrl": "aws_lambda_function_url",
}

_RENAMED = {
    "aws:lambda/permission:Permission": {"function": "functionName"},
    "aws:sns/topicSubscription:TopicSubscription": {"topic": "topicArn"},
}
"""Token -> inputs that Pulumi calls after the resource that they refer to."""


class UnknownError(Exception):
    """The provider does not know a resource, or an argument of one."""


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def camel_case(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True)
class Schema:
    """`terraform providers schema -json` of one provider."""

    resources: dict[str, Any]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Schema:
        (provider,) = content["provider_schemas"].values()
        return cls(provider["resource_schemas"])

    def block(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = self.resources[kind]["block"]
        return found

    def kind(self, token: str) -> str:
        """`aws:ec2/vpc:Vpc` is `aws_vpc`, `aws:lambda/alias:Alias` is `aws_lambda_alias`."""
        if token in _MODULES:
            return _MODULES[token]
        module, _, resource = token.split(":")[1].partition("/")
        candidates = [f"aws_{snake_case(module)}_{snake_case(resource)}", f"aws_{snake_case(resource)}"]
        for candidate in candidates:
            if candidate in self.resources:
                return candidate
        raise UnknownError(f"the provider has no resource for {token} (tried {', '.join(candidates)})")

    def name(self, kind: str, key: str) -> str:
        """The provider's name for an input of Pulumi's."""
        block = self.block(kind)
        names = frozenset(block.get("attributes", {})) | frozenset(block.get("block_types", {}))
        found = _argument(key, names)
        if found is None:
            raise UnknownError(f"the provider has no argument for {kind} {key}")
        return found

    def outputs(self, kind: str) -> Iterable[tuple[str, bool]]:
        """(name, whether it is a list) of the texts that the provider computes."""
        for name, spec in self.block(kind).get("attributes", {}).items():
            if not (spec.get("computed") or name in NAMES):
                continue
            if spec.get("type") == "string":
                yield name, False
            elif isinstance(spec.get("type"), list) and spec["type"] in (
                ["list", "string"],
                ["set", "string"],
            ):
                yield name, True

    def arguments(self, token: str, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The inputs of a resource of Pulumi as arguments, and the paths that the provider does not know."""
        unknown: list[str] = []
        renamed = _RENAMED.get(token, {})
        given = {renamed.get(key, key): value for key, value in inputs.items()}
        return _arguments(self.block(self.kind(token)), given, "", unknown), unknown


def _arguments(
    block: dict[str, Any], inputs: dict[str, Any], path: str, unknown: list[str]
) -> dict[str, Any]:
    attributes, nested = block.get("attributes", {}), block.get("block_types", {})
    arguments: dict[str, Any] = {}
    for key, value in inputs.items():
        # Since version 6 of the provider the region is an argument of a resource; here it is its own.
        if key in ("__defaults", "region") or value is None:
            continue
        name = _argument(key, frozenset(attributes) | frozenset(nested))
        if name is None:
            unknown.append(f"{path}{key}")
        elif name in nested:
            inner = nested[name]["block"]
            arguments[name] = [
                _arguments(inner, item, f"{path}{key}.", unknown) for item in (_as_list(value))
            ]
        else:
            arguments[name] = _as_type(value, attributes[name].get("type"))
    return arguments


def _as_type(value: Any, kind: Any) -> Any:
    if not isinstance(kind, list):
        return value
    values = _as_list(value) if kind[0] in ("list", "set") else value
    if kind[0] in ("list", "set") and isinstance(kind[1], list) and kind[1][0] == "object":
        members = frozenset(kind[1][1])
        empty = dict.fromkeys(members)
        return [
            {**empty, **{_argument(key, members) or key: each for key, each in item.items()}}
            for item in values
        ]
    return values


def _as_list(value: Any) -> list[Any]:
    """Pulumi flattens lists that hold one block at most."""
    return value if isinstance(value, list) else [value]


@functools.cache
def _argument(key: str, names: frozenset[str]) -> str | None:
    """Pulumi's names are the provider's in camel case, those of lists in the plural."""
    base = snake_case(key)
    forms = [base, base.removesuffix("s"), re.sub("ies$", "y", base), re.sub("es$", "", base), f"{base}s"]
    return next((form for form in forms if form in names), None)
