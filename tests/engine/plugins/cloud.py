"""What exists, in a JSON file: several processes make, change and delete, one after the other."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Resource:
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@dataclass
class Cloud:
    resources: dict[str, Resource] = field(default_factory=dict)
    """`aws:ec2/vpc:Vpc network-0000001` -> what is there."""
    log: list[str] = field(default_factory=list)
    """`create aws:ec2/vpc:Vpc network`, in this order."""
    made: int = 0
    """How much was ever made or changed."""
    versions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Function -> published version -> its subnets."""
    tags: dict[str, str] = field(default_factory=dict)
    """`<repository>:<tag>` -> digest, of what was pushed."""

    @classmethod
    def load(cls, path: Path) -> Cloud:
        if not path.exists():
            return cls()
        content = json.loads(path.read_text())
        resources = {key: Resource(**each) for key, each in content["resources"].items()}
        versions, tags = content.get("versions", {}), content.get("tags", {})
        return cls(resources, content["log"], content["n"], versions, tags)

    def save(self, path: Path) -> None:
        resources = {key: vars(each) for key, each in self.resources.items()}
        content = {
            "resources": resources,
            "log": self.log,
            "n": self.made,
            "versions": self.versions,
            "tags": self.tags,
        }
        path.write_text(json.dumps(content, indent=1))


@contextlib.contextmanager
def changing(path: Path) -> Iterator[Cloud]:
    """The cloud, for this process alone until it is left."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cloud = Cloud.load(path)
        yield cloud
        cloud.save(path)
