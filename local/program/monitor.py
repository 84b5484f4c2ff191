"""`python -m local.program.monitor ROOT FILE`: runs the program under the mock, writes what it declares."""

import json
import sys
from pathlib import Path

import pulumi

from discovery import ScriptError
from local.program import mock
from local.program.declare import STACK, ProgramError, project_name, read_config
from local.program.functions import Program
from local.program.resources import functions

_ZONES = "abcdef"


def main(arguments: list[str]) -> int:
    root, written = (Path(each) for each in arguments)
    try:
        program = run(root)
    except (pulumi.RunError, ScriptError, ProgramError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    written.write_text(json.dumps(program.to_json()))
    return 0


def run(root: Path) -> Program:
    """Run `root`/__main__.py as stack `local`. Raises what the program raises."""
    config = read_config(root)
    region = str(config["aws:region"])
    answers = mock.Answers(region, [f"{region}{letter}" for letter in _ZONES])
    registered = mock.run_program(root, config, stack=STACK, answers=answers, project=project_name(root))
    # Staging is for warm-ups that reach no Hub; here they do, and there is no bucket.
    registered.outputs.pop("stagingBucket", None)
    warnings = tuple(dict.fromkeys(registered.warnings))
    return Program(functions(registered.resources), registered.outputs, warnings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
