"""python -m warmup: fills the model cache of a stack and asks every endpoint one question.

`add org/name` writes a script for a model, `remove NAME` takes it away. `batch FN input.jsonl -o
output.jsonl` sends a file of events through an endpoint. `fetch --into FOLDER` brings models that become part
of an image, `prepare` prepares them in it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

from discovery import read_scripts
from hf_lambda.atomic import replace_text

from .add import __main__ as adding
from .batch import __main__ as batch
from .cli.command import Command, Outcome
from .cli.display import display
from .cli.exit_codes import DONE, EPILOG, FAILED, exit_code, say
from .cli.stack import StackClient, access_to, read_outputs
from .cli.tables import lines_of
from .in_image import __main__ as in_image
from .protocol.errors import ErrorKind, WarmupError
from .worker.client_settings import set_client_defaults

ROOT = Path(__file__).parents[1]
MOST_AT_ONCE = 64
_ACTIONS = {
    "warm": "fill the cache and ask every endpoint",
    "status": "what the cache holds",
    "verify": "hash every cached file again",
    "prune": "remove what no script and no published version uses any more",
    "rollback": "let the versions serve that did before",
}


def main(arguments: list[str] | None = None) -> int:
    # Before anything imports the Hub's client, which reads these then and never again.
    set_client_defaults(os.environ)
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] in (["add"], ["remove"]):
        return adding.main(given)
    if given[:1] == ["batch"]:
        return batch.main(given[1:])
    if given[:1] in (["fetch"], ["prepare"]):
        return in_image.main(given)
    options = _parser().parse_args(given)
    return exit_code(
        lambda: _report(options), interrupted="interrupted; what runs in Lambda goes on, run again to join it"
    )


def _report(options: argparse.Namespace) -> int:
    outcome = _outcome(options)
    document = json.dumps(outcome.report.to_json(), indent=2, ensure_ascii=False)
    if options.report:
        _write(options.report, document)
    for line in [document] if options.json else lines_of(outcome.report):
        print(line)
    return say(outcome.failures, FAILED if outcome.failures else DONE)


def _outcome(options: argparse.Namespace) -> Outcome:
    outputs = read_outputs(ROOT, options.stack, options.outputs, options.endpoint_url)
    scripts = read_scripts(options.scripts)
    client = StackClient(outputs, access_to(ROOT, outputs, options.outputs))
    command = Command(client, scripts, only=options.model, parallel=options.parallel)
    if options.endpoint is not None and options.action != "rollback":
        raise WarmupError(ErrorKind.USAGE, f"{options.action} takes no {options.endpoint!r}")
    if options.action == "status":
        return command.status()
    if options.action == "rollback":
        return command.rollback(options.endpoint)
    # --json keeps stdout for the report.
    with display(sys.stderr if options.json else sys.stdout) as shown:
        if options.action == "verify":
            return command.verify(shown)
        if options.action == "prune":
            return command.prune(shown, options.dry_run, options.force)
        return command.plan(shown) if options.dry_run else command.warm(shown, force=options.force)


def _write(path: Path, document: str) -> None:
    try:
        replace_text(path, document + "\n")
    except OSError as error:
        raise WarmupError(ErrorKind.USAGE, f"--report: {path} cannot be written: {error.strerror}") from error


def whole_parser() -> argparse.ArgumentParser:
    """Every command with its options, of whichever parser they are: what a shell completes."""
    parser = argparse.ArgumentParser(prog="python -m warmup", parents=[_options()], add_help=False)
    commands = parser.add_subparsers()
    for action, text in _ACTIONS.items():
        of_action = commands.add_parser(action, help=text, parents=[_options()])
        if action == "rollback":
            _add_endpoint(of_action)
    sending = "send a file of events through an endpoint"
    commands.add_parser("batch", help=sending, parents=[batch.parser()], conflict_handler="resolve")
    for name, (text, options) in adding.commands().items():
        commands.add_parser(name, help=text, parents=[options], conflict_handler="resolve")
    in_image.add_fetch(commands)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m warmup", description=__doc__, epilog=EPILOG, parents=[_options()]
    )
    parser.add_argument("action", nargs="?", default="warm", choices=_ACTIONS, help="default: warm")
    _add_endpoint(parser)
    return parser


def _add_endpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("endpoint", nargs="?", metavar="FN", help="rollback: of this endpoint alone")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stack", help="outputs of `pulumi stack output --json --stack S`; default: local")
    parser.add_argument(
        "--outputs",
        type=Path,
        metavar="FILE",
        help="outputs from a JSON file instead; AWS_PROFILE then says who asks AWS",
    )
    parser.add_argument("--endpoint-url", metavar="URL", help="a Lambda Invoke API other than AWS's")
    parser.add_argument("--model", metavar="M", help="this model alone, and the endpoints that use it")
    parser.add_argument("--dry-run", action="store_true", help="show files and bytes, change nothing")
    parser.add_argument(
        "--force",
        action="store_true",
        help="prune: also models that a script may load unseen; warm: release also what was rolled back",
    )
    parser.add_argument("--json", action="store_true", help="the report on stdout, progress on stderr")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument(
        "--parallel",
        type=_number_of_models,
        default=4,
        metavar="N",
        help=f"models at once, 1 to {MOST_AT_ONCE}; default: 4",
    )
    parser.add_argument("--scripts", type=Path, default=ROOT / "inference", help=argparse.SUPPRESS)
    return parser


def _number_of_models(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_AT_ONCE}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
