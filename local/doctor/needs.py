"""What a stack will ask of its account: counted in what the program registers under the mock monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi

from hf_lambda.records import Json
from local.cost.config import config_of
from local.program import mock
from local.program.declare import ProgramError, project_name
from warmup.cli.access import Access, read_access
from warmup.protocol.records import WrongShape

_ZONES = "abcdef"


@dataclass(frozen=True)
class Stack:
    """A stack by its settings, whether it is there or not."""

    name: str
    project: str
    access: Access
    architecture: str
    docker_host: str | None
    zones: int
    """How many availability zones it is set to."""
    resources: Sequence[mock.Resource]

    def count(self, type_: str) -> int:
        return len(self.of_type(type_))

    def of_type(self, type_: str) -> list[mock.Resource]:
        return [each for each in self.resources if each.type == type_]

    @property
    def largest_mb(self) -> int:
        """Memory of its largest function."""
        return max((int(each.inputs.get("memorySize") or 128) for each in self._functions()), default=0)

    @property
    def reserved(self) -> int:
        """Concurrent executions that its functions set aside from the account's."""
        given = [int(each.inputs.get("reservedConcurrentExecutions", -1)) for each in self._functions()]
        return sum(each for each in given if each > 0)

    @property
    def provisioned(self) -> int:
        """Instances that are kept, and that no function reserves."""
        reserving = {
            each.id for each in self._functions() if each.inputs.get("reservedConcurrentExecutions", -1) > 0
        }
        kept = self.of_type("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
        return sum(
            int(each.inputs["provisionedConcurrentExecutions"])
            for each in kept
            if each.inputs["functionName"] not in reserving
        )

    def _functions(self) -> list[mock.Resource]:
        return self.of_type("aws:lambda/function:Function")


def read_stack(root: Path, name: str) -> Stack:
    """Raises ProgramError with the program's own words where its settings or scripts have a mistake."""
    config = config_of(root, name)
    project = project_name(root)
    region = str(config.values.get("aws:region", ""))
    answers = mock.Answers(region, [f"{region}{letter}" for letter in _ZONES])
    try:
        registered = mock.run_program(
            root, config.values, stack=name, answers=answers, secret_keys=config.secret_keys, project=project
        )
        access = read_access(_as_printed(config.values), region)
    except (pulumi.RunError, WrongShape) as error:
        raise ProgramError(str(error)) from error
    host = config.values.get("docker:host")
    return Stack(
        name,
        project,
        access,
        str(config.values[f"{project}:architecture"]),
        str(host) if host else None,
        int(config.values[f"{project}:azCount"]),
        registered.resources,
    )


def _as_printed(values: Mapping[str, Json]) -> dict[str, Json]:
    """As `pulumi config --json` prints them."""
    kinds = {key: "value" if isinstance(value, str) else "objectValue" for key, value in values.items()}
    return {key: {kinds[key]: values[key], "value": values[key]} for key in values}
