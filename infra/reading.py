"""Reads the config of a stack key by key, and notes what is wrong with each."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config

from .rules import ENDPOINT_RULES, STACK_RULES, NotAllowedError, Rule

_AWS_KEYS = ("region", "profile")


class Reader:
    """The values of all keys. Where `mistakes` is not empty, some of them are missing."""

    def __init__(self, script_names: Sequence[str] | None) -> None:
        """`script_names`: None where the scripts could not be read."""
        self.mistakes: list[str] = []
        self._config = pulumi.Config()
        self.stack = self._section(STACK_RULES)
        self.every = self._section(ENDPOINT_RULES)
        self.overrides = self._overrides(script_names)
        self.region = pulumi.Config("aws").get("region") or ""
        self.profile = pulumi.Config("aws").get("profile")
        if not self.region:
            self.mistakes.append("aws:region is missing; set it: pulumi config set aws:region us-east-1")
        self._refuse_unknown()
        self._refuse_plain_token()

    def endpoint(self, name: str) -> dict[str, Any]:
        """The values of one endpoint, its overrides in place."""
        return {**self.every, **self.overrides.get(name, {})}

    def _section(self, rules: Mapping[str, Rule]) -> dict[str, Any]:
        values = {}
        for key, rule in rules.items():
            raw = self._config.get(key)
            if raw is None:
                self.mistakes.append(f"{key} is missing; Pulumi.yaml must hold its default")
            else:
                values[key] = self._value(key, rule, raw)
        return values

    def _value(self, key: str, rule: Rule, raw: Any) -> Any:
        try:
            return rule.apply(raw)
        except NotAllowedError as error:
            self.mistakes.append(f"{key} {error}")
            return None

    def _overrides(self, script_names: Sequence[str] | None) -> dict[str, dict[str, Any]]:
        raw = self._config.get("endpoints")
        if raw is None:
            self.mistakes.append("endpoints is missing; Pulumi.yaml must hold its default")
            return {}
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            text = 'must be an object of script names, for instance {"sentiment": {"memoryMb": 1024}}'
            self.mistakes.append(f"endpoints is {raw!r}; {text}")
            return {}
        overrides = {}
        for name, values in found.items():
            where = f"endpoints.{name}"
            if script_names is not None and name not in script_names:
                hint = _nearest(name, script_names)
                self.mistakes.append(f"{where}: there is no inference/{name}.py; {hint}")
            if not isinstance(values, dict):
                self.mistakes.append(f"{where} is {json.dumps(values)}; must be an object of keys")
            else:
                overrides[name] = self._override(where, values)
        return overrides

    def _override(self, where: str, values: dict[str, Any]) -> dict[str, Any]:
        read = {}
        for key, raw in values.items():
            if key in ENDPOINT_RULES:
                read[key] = self._value(f"{where}.{key}", ENDPOINT_RULES[key], raw)
            elif key in STACK_RULES:
                shown = json.dumps(raw) if not STACK_RULES[key].secret else "set"
                self.mistakes.append(f"{where}.{key} is {shown}; {key} is for the whole stack alone")
            else:
                hint = _nearest(key, ENDPOINT_RULES)
                self.mistakes.append(f"{where}.{key} is {json.dumps(raw)}; there is no such key; {hint}")
        return read

    def _refuse_unknown(self) -> None:
        known = [*ENDPOINT_RULES, *STACK_RULES, "endpoints"]
        for full_key in _all_keys():
            namespace, _, key = full_key.partition(":")
            if namespace == self._config.name and key not in known:
                self.mistakes.append(f"{key}: there is no such key; {_nearest(key, known)}")
            elif namespace == "aws" and key not in _AWS_KEYS:
                # The program makes its own provider, for the default tags: no other key would reach it.
                fix = "use `tags`" if key == "defaultTags" else "put it in a profile and set aws:profile"
                self.mistakes.append(f"aws:{key}: this program takes {' and '.join(_AWS_KEYS)}; {fix}")

    def _refuse_plain_token(self) -> None:
        """A token that lies readable in the stack file is soon in the history of a repository."""
        if self.stack.get("hfToken") and not runtime_config.is_config_secret(
            self._config.full_key("hfToken")
        ):
            pulumi.log.warn("hfToken is in plain text; encrypt it: pulumi config set --secret hfToken")


def _all_keys() -> list[str]:
    return sorted({*runtime_config.CONFIG.get(), *runtime_config.get_config_env()})


def _nearest(given: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1)
    return (
        f"did you mean {by_lower[near[0]]}?"
        if near
        else f"must be one of {', '.join(sorted(by_lower.values()))}"
    )
