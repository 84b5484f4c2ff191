"""What a config key may hold: reads a raw value, or says what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# 0: for ever. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_RETENTION_DAYS = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


class NotAllowedError(Exception):
    """The value breaks the rule; the text says what the rule allows."""


@dataclass(frozen=True)
class Rule:
    """`read` turns a raw value into the setting, or raises ValueError; `allowed` completes "must be ..."."""

    read: Callable[[Any], Any]
    allowed: str
    secret: bool = False

    def apply(self, raw: Any) -> Any:
        """Raw values are the strings of the config, or what JSON made of them inside `endpoints`."""
        try:
            return self.read(raw)
        except ValueError:
            shown = (
                "what is set" if self.secret else json.dumps(raw) if not isinstance(raw, str) else f"{raw!r}"
            )
            raise NotAllowedError(f"is {shown}; must be {self.allowed}") from None


def whole(low: int, high: int) -> Rule:
    def read(raw: Any) -> int:
        number = int(raw) if isinstance(raw, str) and re.fullmatch(r"[+-]?\d+", raw) else raw
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError
        return number

    return Rule(read, f"a whole number from {low} to {high}")


def choice(*values: str) -> Rule:
    def read(raw: Any) -> str:
        if raw not in values:
            raise ValueError
        return str(raw)

    return Rule(read, f"{', '.join(values[:-1])} or {values[-1]}")


def flag() -> Rule:
    def read(raw: Any) -> bool:
        values = {"true": True, "false": False, "True": True, "False": False}
        if str(raw) not in values:
            raise ValueError
        return values[str(raw)]

    return Rule(read, "true or false")


def texts(example: str) -> Rule:
    """An object whose values are plain texts."""

    def read(raw: Any) -> Mapping[str, str]:
        found = json.loads(raw) if isinstance(raw, str) else raw
        if not isinstance(found, dict) or any(isinstance(value, (dict, list)) for value in found.values()):
            raise ValueError
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}

    return Rule(read, f"an object of texts, for instance {example}")


def numbers(**ranges: tuple[float, float]) -> Rule:
    """An object of any of these numbers. The CLI keeps what `--path` sets to a fraction as a text."""

    def read(raw: Any) -> Mapping[str, float]:
        found = json.loads(raw) if isinstance(raw, str) else raw
        if not isinstance(found, dict) or not set(found) <= set(ranges):
            raise ValueError
        return {key: _within(*ranges[key], value) for key, value in found.items()}

    allowed = [f"{key} ({low:g} to {high:g})" for key, (low, high) in ranges.items()]
    return Rule(read, f"an object of {', '.join(allowed[:-1])} and {allowed[-1]}, or of some of them")


def _within(low: float, high: float, raw: Any) -> float:
    number = float(raw) if isinstance(raw, str) else raw
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not low <= number <= high:
        raise ValueError
    return number


def _retention(raw: Any) -> int:
    days: int = whole(0, max(_RETENTION_DAYS)).read(raw)
    if days not in _RETENTION_DAYS:
        raise ValueError
    return days


def _address(raw: Any) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"|[^@\s]+@[^@\s]+\.[^@\s]+", raw):
        raise ValueError
    return raw


def _url(raw: Any) -> str:
    parts = urlsplit(raw if isinstance(raw, str) else "")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    return str(raw).rstrip("/")


def _token(raw: Any) -> str:
    if not isinstance(raw, str) or re.search(r"\s", raw):
        raise ValueError
    return raw


ENDPOINT_RULES: Mapping[str, Rule] = {
    "memoryMb": whole(128, 10240),
    "timeoutSeconds": whole(1, 900),
    "reservedConcurrency": whole(-1, 100_000),
    "provisionedConcurrency": whole(0, 100_000),
    "functionUrl": choice("none", "iam", "public"),
    "coldDownload": flag(),
    "logRetentionDays": Rule(_retention, f"one of {', '.join(map(str, _RETENTION_DAYS))}"),
    "image": choice("auto", "slim", "full"),
    "tags": texts('{"team": "search"}'),
}
"""Keys of every endpoint, which `endpoints.<script>` may override."""

STACK_RULES: Mapping[str, Rule] = {
    "architecture": choice("x86_64", "arm64"),
    "buildArgs": texts('{"BASE_IMAGE": "python:3.11-slim-bookworm"}'),
    "azCount": whole(1, 6),
    "egress": choice("nat", "natPerAz", "ipv6", "none"),
    "hubEndpoint": Rule(_url, "an address such as https://huggingface.co"),
    "hfToken": Rule(_token, "a token without spaces (pulumi config set --secret hfToken)", secret=True),
    "warmupMemoryMb": whole(128, 10240),
    "tolerance": numbers(probability=(0, 1), cosine=(-1, 1), sameText=(0, 1)),
    "warmOnDeploy": flag(),
    "dashboard": flag(),
    "alarmEmail": Rule(_address, "an e-mail address, or empty for no alarms"),
    "monthlyBudgetUsd": whole(0, 1_000_000_000),
    "protect": flag(),
}
