"""Terraform with the real AWS provider, on an AWS on loopback."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.provider.document import Document
from tests.provider.schema import Schema

PROVIDER = "registry.terraform.io/hashicorp/aws"


class TerraformError(Exception):
    """Terraform, the provider or AWS said no; the text is theirs."""


@dataclass(frozen=True)
class Installed:
    """Terraform and the newest AWS provider of a plugin mirror."""

    terraform: str
    mirror: Path
    version: str


def find_terraform() -> Installed | str:
    """What is installed, or why these tests cannot run."""
    terraform = shutil.which("terraform")
    if terraform is None:
        return "terraform is not on PATH"
    given = os.environ.get("TF_PLUGIN_MIRROR")
    home = Path.home() / ".terraform.d/plugins"
    usual = [home, *(Path(each) / "terraform/plugins" for each in ("/usr/local/share", "/usr/share"))]
    places = [Path(given)] if given else [*usual, *sorted(Path("/opt").glob("*"))]
    for place in places:
        # A folder for each version, or what `terraform providers mirror` writes: an archive for each.
        names = " ".join(each.name for each in (place / PROVIDER).glob("*") if each.suffix != ".json")
        versions = re.findall(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])", names)
        if versions:
            newest = max(versions, key=lambda version: [int(part) for part in version.split(".")])
            return Installed(terraform, place, newest)
    return f"the provider hashicorp/aws is not in {', '.join(map(str, places))}; set TF_PLUGIN_MIRROR"


@dataclass(frozen=True)
class Changes:
    """Addresses of Terraform, by what a plan does to them."""

    creates: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()
    replaces: frozenset[str] = frozenset()
    deletes: frozenset[str] = frozenset()
    details: Mapping[str, tuple[str, ...]] | None = None
    """Address -> attributes that differ."""

    def __bool__(self) -> bool:
        return bool(self.creates or self.updates or self.replaces or self.deletes)

    def __str__(self) -> str:
        kinds = {
            "creates": self.creates,
            "updates": self.updates,
            "replaces": self.replaces,
            "deletes": self.deletes,
        }
        said = [
            f"{kind} {', '.join(map(self._detailed, sorted(each)))}" for kind, each in kinds.items() if each
        ]
        return "; ".join(said) or "nothing changes"

    def _detailed(self, address: str) -> str:
        attributes = (self.details or {}).get(address)
        return f"{address} ({', '.join(attributes)})" if attributes else address

    @classmethod
    def from_messages(cls, messages: str) -> Changes:
        """From what `plan -json` and `apply -json` print: a message in each line."""
        found: dict[str, set[str]] = {"create": set(), "update": set(), "replace": set(), "delete": set()}
        for line in messages.splitlines():
            message = json.loads(line)
            if message["type"] == "planned_change" and message["change"]["action"] in found:
                found[message["change"]["action"]].add(message["change"]["resource"]["addr"])
        created, updated, replaced, deleted = (frozenset(each) for each in found.values())
        return cls(created, updated, replaced, deleted)

    def with_details(self, plan: dict[str, Any]) -> Changes:
        """With the attributes that differ. `plan`: what `terraform show -json` says of it."""
        details = {}
        for each in plan["resource_changes"]:
            before, after = each["change"]["before"], each["change"]["after"]
            if before and after and each["change"]["actions"] != ["no-op"]:
                unknown = each["change"]["after_unknown"] or {}
                differing = (key for key, value in {**after, **unknown}.items() if before.get(key) != value)
                details[each["address"]] = tuple(sorted(differing))
        return dataclasses.replace(self, details=details)


class Terraform:
    """One state: `apply` and `destroy` a document."""

    def __init__(self, installed: Installed, folder: Path, address: str) -> None:
        """`folder`: for the state; `address`: of the AWS."""
        self._installed, self._folder = installed, folder
        folder.mkdir(parents=True, exist_ok=True)
        mirror = f'filesystem_mirror {{\n    path = "{installed.mirror}"\n  }}'
        (folder / "terraform.rc").write_text(f"provider_installation {{\n  {mirror}\n}}\n")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self._environment = {
            **{key: value for key, value in inherited.items() if not key.lower().endswith("_proxy")},
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "AWS_ENDPOINT_URL": address,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
        }
        source = {"source": "hashicorp/aws", "version": installed.version}
        self._write({"terraform": {"required_providers": {"aws": source}}})
        self._run("init", "-no-color", "-input=false")

    def schema(self) -> Schema:
        return Schema.from_json(json.loads(self._run("providers", "schema", "-json")))

    def apply(self, document: Document) -> Changes:
        """Makes AWS what the document says, and returns what that took."""
        self._write(document.to_json(self._installed.version))
        return Changes.from_messages(self._run("apply", "-json", "-auto-approve", *_BY_ITSELF))

    def plan(self, document: Document) -> Changes:
        """What `apply` would do to what it made."""
        self._write(document.to_json(self._installed.version))
        return Changes.from_messages(self._run("plan", "-json", "-refresh=false", *_BY_ITSELF))

    def drift(self) -> Changes:
        """What a second `apply` of the same document would do: nothing, unless something forgets."""
        changes = Changes.from_messages(self._run("plan", "-json", "-out=drift", *_BY_ITSELF))
        return changes.with_details(json.loads(self._run("show", "-json", "drift"))) if changes else changes

    def destroy(self) -> None:
        """Raises TerraformError also where something of the state is left."""
        self._run("destroy", "-auto-approve", "-no-color", *_BY_ITSELF)
        if left := self._run("state", "list").split():
            raise TerraformError(f"left after destroy: {', '.join(left)}")

    def _write(self, document: dict[str, Any]) -> None:
        (self._folder / "main.tf.json").write_text(json.dumps(document, indent=1))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._installed.terraform, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise TerraformError(f"terraform {arguments[0]}:\n{_errors(done.stdout) or done.stderr}")
        return done.stdout


_BY_ITSELF = ("-input=false", "-parallelism=16")


def _errors(output: str) -> str:
    """The errors among messages of Terraform; output that is none as it is."""
    found = []
    for line in output.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("@level") == "error":
            found.append(
                "\n".join([message["@message"], message.get("diagnostic", {}).get("detail", "")]).strip()
            )
    return "\n".join(found) or output
