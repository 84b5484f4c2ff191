"""What a stack is set to: read once from its config, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from discovery import Script, ScriptError, read_scripts

from .checks import contradictions
from .reading import Reader


@dataclass(frozen=True)
class Endpoint:
    """What one script's function is set to."""

    memory_mb: int
    timeout_s: int
    reserved_concurrency: int
    provisioned_concurrency: int
    function_url: str
    cold_download: bool
    log_retention_days: int
    image: str
    """slim or full: `auto` is settled."""
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Account:
    """Where and as whom: `profile` is one of ~/.aws/config, None for the credentials of the environment."""

    region: str
    profile: str | None


@dataclass(frozen=True)
class Settings:
    """What the whole stack is set to."""

    account: Account
    architecture: str
    build_args: Mapping[str, str]
    az_count: int
    egress: str
    hub_endpoint: str
    hf_token: pulumi.Output[str] | None
    warmup_memory_mb: int
    tolerance: Mapping[str, float]
    """probability, cosine, sameText: how far int8 may be from transformers."""
    warm_on_deploy: bool
    log_retention_days: int
    dashboard: bool
    alarm_email: str
    monthly_budget_usd: int
    protect: bool
    tags: Mapping[str, str]
    endpoints: Mapping[str, Endpoint]
    """One for each script."""


def read_settings(folder: Path) -> tuple[Settings, tuple[Script, ...]]:
    """The settings, and the scripts of `folder`. Raises RunError that lists all mistakes, one a line."""
    try:
        scripts, mistakes = read_scripts(folder), []
    except ScriptError as error:
        scripts, mistakes = (), str(error).splitlines()
    if not scripts and not mistakes:
        mistakes = [f"{folder.name}/ has no script; it needs one, such as sentiment.py"]
    # Without the scripts nobody can tell whether an override is for one of them.
    reader = Reader(None if mistakes else [script.name for script in scripts])
    mistakes += reader.mistakes
    if not mistakes:
        mistakes += contradictions(reader, scripts)
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise pulumi.RunError("\n".join([f"{count} in stack {pulumi.get_stack()}:", *mistakes]))
    return _settings(reader, scripts), scripts


def _settings(reader: Reader, scripts: tuple[Script, ...]) -> Settings:
    stack = reader.stack
    return Settings(
        account=Account(reader.region, reader.profile),
        architecture=stack["architecture"],
        build_args=stack["buildArgs"],
        az_count=stack["azCount"],
        egress=stack["egress"],
        hub_endpoint=stack["hubEndpoint"],
        hf_token=pulumi.Output.secret(stack["hfToken"]) if stack["hfToken"] else None,
        warmup_memory_mb=stack["warmupMemoryMb"],
        tolerance=stack["tolerance"],
        warm_on_deploy=stack["warmOnDeploy"],
        log_retention_days=reader.every["logRetentionDays"],
        dashboard=stack["dashboard"],
        alarm_email=stack["alarmEmail"],
        monthly_budget_usd=stack["monthlyBudgetUsd"],
        protect=stack["protect"],
        tags=reader.every["tags"],
        endpoints={script.name: _endpoint(reader, script) for script in scripts},
    )


def _endpoint(reader: Reader, script: Script) -> Endpoint:
    values = reader.endpoint(script.name)
    # What is downloaded in the first request is not prepared, so it needs torch.
    wanted = "full" if values["coldDownload"] else script.image
    return Endpoint(
        memory_mb=values["memoryMb"],
        timeout_s=values["timeoutSeconds"],
        reserved_concurrency=values["reservedConcurrency"],
        provisioned_concurrency=values["provisionedConcurrency"],
        function_url=values["functionUrl"],
        cold_download=values["coldDownload"],
        log_retention_days=values["logRetentionDays"],
        image=wanted if values["image"] == "auto" else values["image"],
        tags=reader.overrides.get(script.name, {}).get("tags", {}),
    )
