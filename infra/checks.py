"""Settings that are allowed one by one and do not go together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discovery import Script

from .naming import FUNCTION_NAME_LIMIT, function_name
from .reading import Reader


def contradictions(reader: Reader, scripts: Sequence[Script]) -> list[str]:
    """One line each: keys, values, what to set instead."""
    stack = reader.stack
    found = []
    if stack["egress"] == "none" and stack["warmOnDeploy"]:
        found.append(
            "warmOnDeploy is true with egress none, where the command stages the models; set one of them"
        )
    if stack["monthlyBudgetUsd"] and not stack["alarmEmail"]:
        found.append(f"monthlyBudgetUsd is {stack['monthlyBudgetUsd']} without alarmEmail; set whom to tell")
    for script in scripts:
        found += _of_endpoint(script, reader.endpoint(script.name), stack["egress"])
    return found


def _of_endpoint(script: Script, values: dict[str, Any], egress: str) -> list[str]:
    found = []
    reserved, provisioned = values["reservedConcurrency"], values["provisionedConcurrency"]
    if values["coldDownload"] and egress == "none":
        found.append("coldDownload is true with egress none; must be false, or egress nat, natPerAz or ipv6")
    if values["coldDownload"] and values["image"] == "slim":
        found.append("image is slim with coldDownload true; must be auto or full, which can download")
    elif values["image"] == "slim" and any(declared.plain for declared in script.pipelines):
        found.append("image is slim; must be auto or full, the script imports transformers")
    if 0 <= reserved < provisioned:
        found.append(
            f"provisionedConcurrency is {provisioned}; must be at most reservedConcurrency, {reserved}"
        )
    name = function_name(script.name)
    if len(name) > FUNCTION_NAME_LIMIT:
        found.append(
            f"{name} is {len(name)} characters; must be at most {FUNCTION_NAME_LIMIT}; shorten the stack's"
        )
    return [f"{script.name}: {text}" for text in found]
