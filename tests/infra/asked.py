"""What a program asked of AWS: resources as it registered them, and its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.program.mock import Registrations, Resource

SECRET = "4dabf18193072939515e22adb298388d"
"""Pulumi's mark of a secret in `Resource.wire`."""


@dataclass
class Deployed(Registrations):
    """What one run of the program asked for, to be looked up."""

    def all(self, type_: str) -> dict[str, Resource]:
        """Resources by name; `type_` as in "lambda/function" or with its package, "docker:index/image"."""
        token = type_ if ":" in type_ else f"aws:{type_}"
        return {each.name: each for each in self.resources if each.type.rpartition(":")[0] == token}

    def one(self, type_: str) -> Resource:
        (found,) = self.all(type_).values()
        return found

    def function(self, name: str) -> Resource:
        (found,) = (each for key, each in self.all("lambda/function").items() if key.endswith(f"-{name}"))
        return found

    def before(self, asked: Resource) -> set[tuple[str, str]]:
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


def statements(policies: Mapping[str, Resource]) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for policy in policies.values() for each in policy.policy()}
