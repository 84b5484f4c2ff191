"""The config of a stack, without the CLI that could decrypt its secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_lambda.records import Json
from local.program.declare import ProgramError, read_config

_WITHIN: dict[str, Json] = {"environment": "secret", "tags": "secret", "buildArgs": "secret"}
"""Objects of texts: what stands for one encrypted text in them."""
_WHOLE: dict[str, Json] = {
    "hfToken": "hf_secret",
    "alarmEmail": "secret@example.com",
    "hubEndpoint": "https://huggingface.co",
    "permissionsBoundary": "arn:aws:iam::123456789012:policy/secret",
    "apiKeys": [],
    **{key: {} for key in _WITHIN},
}
"""What stands for a key that is encrypted as a whole. It counts that there is one, not what it says."""


@dataclass(frozen=True)
class StackConfig:
    """Config by full key. `secret_keys` are the full keys that are, or hold, something encrypted."""

    values: Mapping[str, Json]
    secret_keys: frozenset[str]


def config_of(root: Path, stack: str) -> StackConfig:
    """Pulumi.<stack>.yaml over the defaults of Pulumi.yaml. Raises ProgramError.

    Secrets that no cost depends on are replaced by something of the same kind; for others it is raised.
    """
    encrypted: set[str] = set()

    def stand_in(path: Sequence[str | int]) -> Json:
        encrypted.add(str(path[0]).rpartition(":")[2])
        return _stand_in(path)

    values = read_config(root, stack, stand_in)
    return StackConfig(values, frozenset(key for key in values if key.rpartition(":")[2] in encrypted))


def _stand_in(path: Sequence[str | int]) -> Json:
    shown = ".".join(map(str, path))
    names = [str(each).rpartition(":")[2] for each in path]
    if names[0] == "endpoints":
        names = names[2:]
    key, within = (names[0], names[1:]) if names else ("", [])
    if not within and key in _WHOLE:
        return _WHOLE[key]
    if within and key in _WITHIN:
        return _WITHIN[key]
    if within and key == "apiKeys":
        return within[0].rjust(32, "0")
    raise ProgramError(
        f"{shown} is encrypted, and what the stack costs depends on it: set it without --secret"
    )
