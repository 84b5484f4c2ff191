"""python -m warmup: fills the model cache of a stack and asks every endpoint one question."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from discovery import ScriptError, read_scripts

from .cli.command import Command, Report
from .cli.display import display
from .cli.outputs import read_deployment
from .cli.tables import lines_of
from .errors import WarmupError
from .worker.logs import muted

ROOT = Path(__file__).parents[1]
_EPILOG = "Exit codes: 0 all is well, 1 something failed (named on stderr), 2 usage."


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        report = _run(options)
    except ScriptError as error:
        return _say(error.problems, 2)
    except WarmupError as error:
        return _say([str(error)], 2 if error.kind == "usage" else 1)
    except KeyboardInterrupt:
        return _say(["interrupted; what runs in Lambda goes on, run again to join it"], 1)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(json.dumps(report.document, indent=2, ensure_ascii=False) + "\n")
    if options.json:
        print(json.dumps(report.document, indent=2, ensure_ascii=False))
    else:
        action = "plan" if options.dry_run and options.action == "warm" else options.action
        for line in lines_of(action, report.document):
            print(line)
    return _say(report.failures, 1) if report.failures else 0


def _run(options: argparse.Namespace) -> Report:
    deployment = read_deployment(ROOT, options.stack, options.outputs, options.endpoint_url)
    scripts = read_scripts(options.scripts)
    command = Command(deployment, scripts, only=options.model, parallel=options.parallel)
    if options.action == "status":
        return command.status()
    # --json keeps stdout for the report.
    with muted(), display(sys.stderr if options.json else sys.stdout) as shown:
        if options.action == "verify":
            return command.verify(shown)
        if options.action == "prune":
            return command.prune(shown, options.dry_run)
        return command.plan(shown) if options.dry_run else command.warm(shown)


def _say(lines: list[str], code: int) -> int:
    for line in lines:
        print(f"warmup: {line}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m warmup", description=__doc__, epilog=_EPILOG)
    parser.add_argument(
        "action",
        nargs="?",
        default="warm",
        choices=("warm", "status", "verify", "prune"),
        help="default: warm",
    )
    parser.add_argument("--stack", help="outputs of `pulumi stack output --json --stack S`; default: local")
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="outputs from a JSON file instead")
    parser.add_argument("--endpoint-url", metavar="URL", help="a Lambda Invoke API other than AWS's")
    parser.add_argument("--model", metavar="M", help="this model alone, and the endpoints that use it")
    parser.add_argument("--dry-run", action="store_true", help="show files and bytes, change nothing")
    parser.add_argument("--json", action="store_true", help="the report on stdout, progress on stderr")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="models at once; default: 4")
    parser.add_argument("--scripts", type=Path, default=ROOT / "inference", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
