"""What a program asked of AWS: resources as it registered them, and its outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SECRET = "4dabf18193072939515e22adb298388d"
"""Pulumi's mark of a secret in `Asked.wire`."""


@dataclass(frozen=True)
class Asked:
    """One resource as the program registered it."""

    type: str
    name: str
    urn: str
    inputs: dict[str, Any]
    wire: Any
    """Inputs as they were sent, where secrets are still marked."""
    dependencies: frozenset[str]
    parent: str
    provider: str
    protect: bool

    def policy(self, key: str = "policy") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.inputs[key])["Statement"]
        return found


@dataclass
class Deployed:
    resources: list[Asked] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def all(self, type_: str) -> dict[str, Asked]:
        """Resources by name; `type_` as in "lambda/function" or with its package, "docker:index/image"."""
        token = type_ if ":" in type_ else f"aws:{type_}"
        return {each.name: each for each in self.resources if each.type.rpartition(":")[0] == token}

    def one(self, type_: str) -> Asked:
        (found,) = self.all(type_).values()
        return found

    def function(self, name: str) -> Asked:
        (found,) = (each for key, each in self.all("lambda/function").items() if key.endswith(f"-{name}"))
        return found

    def before(self, asked: Asked) -> set[tuple[str, str]]:
        """(type, name) of what `asked` waits for, directly or behind others."""
        by_urn = {each.urn: each for each in self.resources}
        seen: set[str] = set()
        queue = [*asked.dependencies]
        while queue:
            urn = queue.pop()
            if urn in by_urn and urn not in seen:
                seen.add(urn)
                queue += by_urn[urn].dependencies
        return {(by_urn[urn].type.split(":")[1], by_urn[urn].name) for urn in seen}


def statements(policies: Mapping[str, Asked]) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for policy in policies.values() for each in policy.policy()}
