"""`python -m local.program.monitor ROOT FILE`: runs the program under Pulumi's mock monitor."""

import asyncio
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import get_root_resource, mocks, set_all_config
from pulumi.runtime.stack import Stack, run_pulumi_func

from discovery import ScriptError
from local.program.declare import PROJECT, STACK, ProgramError, read_config
from local.program.functions import Program
from local.program.resources import ACCOUNT, AVAILABILITY_ZONES, Registered, functions, physical


class Answers(mocks.Mocks):
    """Gives every resource the outputs that the program's next steps need, and keeps what was registered."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.registered: list[Registered] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        resource = physical(args.typ, args.name, args.inputs, self.region)
        self.registered.append(resource)
        return resource.id, resource.state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        zones = [f"{self.region}{letter}" for letter in AVAILABILITY_ZONES]
        known: dict[str, dict[str, Any]] = {
            "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": zones, "zoneIds": zones},
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:index/getRegion:getRegion": {"name": self.region, "region": self.region},
            "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com"},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "local"},
        }
        return {**args.args, **known.get(args.token, {})}, []


def run(root: Path) -> Program:
    """Run `root`/__main__.py as stack `local`. Raises what the program raises."""
    config = read_config(root)
    answers = Answers(str(config["aws:region"]))
    set_all_config({key: _as_text(value) for key, value in config.items()})
    sys.path.insert(0, str(root))
    outputs = asyncio.run(_outputs(root, answers))
    # Staging is for warm-ups that reach no Hub; here they do, and there is no bucket.
    outputs.pop("stagingBucket", None)
    return Program(functions(answers.registered), outputs)


def main(arguments: list[str]) -> int:
    root, written = (Path(each) for each in arguments)
    try:
        program = run(root)
    except (pulumi.RunError, ScriptError, ProgramError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    written.write_text(program.dumps())
    return 0


async def _outputs(root: Path, answers: Answers) -> dict[str, Any]:
    # Within the loop: already this call makes a root resource, which would wait for ever on another one.
    mocks.set_mocks(answers, project=PROJECT, stack=STACK, preview=False)
    await run_pulumi_func(lambda: _program(root))
    stack = get_root_resource()
    if not isinstance(stack, Stack):
        raise TypeError(f"the root resource is {stack!r}")
    outputs: dict[str, Any] | None = await pulumi.Output.from_input(stack.outputs).future()
    return outputs or {}


def _program(root: Path) -> None:
    runpy.run_path(str(root / "__main__.py"), run_name="__main__")


def _as_text(value: Any) -> str:
    """Config reaches a program as text: objects, numbers and booleans as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
