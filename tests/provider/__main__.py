"""Applies the program with the real AWS provider to an emulated AWS that refuses what AWS refuses.

The program runs under Pulumi's mock monitor. What it registers becomes Terraform JSON, outputs become
references, so that the order is the program's own; Terraform applies it, plans again (nothing may change) and
destroys it (nothing may be left).

  python -m tests.provider --stack prod --set architecture=arm64 --then egress=ipv6 --then egress=none

Exit status: 0 all held; 1 something did not, the last lines say what; 77 without Terraform or its provider.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import pulumi

from tests.provider.aws.server import ROOT, emulated_aws
from tests.provider.document import MountTargetRaceError, preview_program, write_document
from tests.provider.schema import UnknownError
from tests.provider.terraform import Installed, Terraform, TerraformError, find_terraform


def main(arguments: list[str]) -> int:
    given = _parse(arguments)
    installed = find_terraform()
    if isinstance(installed, str):
        print(f"skipped: {installed}", file=sys.stderr)
        return 77
    try:
        with tempfile.TemporaryDirectory(prefix="provider-") as folder:
            _hold(given, installed, Path(folder))
    except (TerraformError, UnknownError, MountTargetRaceError, pulumi.RunError) as error:
        print(f"failed: {error}")
        return 1
    return 0


def _hold(given: argparse.Namespace, installed: Installed, folder: Path) -> None:
    options = ["--new-account"] if given.new_account else []
    options += [word for rule in given.without for word in ("--without", rule)]
    with emulated_aws(folder / "aws.log", *options) as address:
        terraform = Terraform(installed, folder / "state", address)
        schema, keys = terraform.schema(), _keys(given.set)
        preview_program(given.project, given.stack, schema, keys)
        print("preview: the program runs where outputs are not known")
        for step in ["", *given.then]:
            keys |= _keys(step.split(";") if step else [])
            document = write_document(given.project, given.stack, schema, keys)
            if given.keep:
                given.keep.write_text(json.dumps(document.to_json(installed.version), indent=1))
            started = time.monotonic()
            changes = terraform.apply(document)
            said = f"{len(changes.creates)} created" if not step else str(changes)
            print(f"{step or 'apply'}: {said} ({time.monotonic() - started:.0f} s)")
            if drift := terraform.drift():
                raise TerraformError(f"a second apply would change something: {drift}")
        terraform.destroy()
        print(f"destroy: nothing left of {len(document.resources)} resources")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.provider",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--project", default=ROOT, type=Path, help="folder of the program")
    parser.add_argument("--stack", default="dev")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="config over the stack's"
    )
    parser.add_argument(
        "--then",
        action="append",
        default=[],
        metavar="KEY=VALUE[;KEY=VALUE]",
        help="after that, change this config and apply over what is there; says what each step does",
    )
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the last Terraform JSON")
    parser.add_argument("--new-account", action="store_true", help="held to what new accounts are held to")
    parser.add_argument(
        "--without", action="append", default=[], metavar="RULE", help="refuse less: aws/refusals.py"
    )
    return parser.parse_args(arguments)


def _keys(items: list[str]) -> dict[str, str]:
    """`aws:region=eu-west-1` is a key of another namespace."""
    pairs = (item.partition("=") for item in items)
    return {key.replace(":", "__"): value for key, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
