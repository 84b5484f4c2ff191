"""python -m local: up and down for the local stack; the other commands for any. `make` runs these."""

import argparse
import json
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local import in_container, stack
from local.adding import NOTE, hub_for, stand_ins
from local.completion import SHELLS, completion
from local.cost.command import cost_of_stack, lines_of
from local.dev import Follower, watched
from local.doctor import command as doctor
from local.followed import Followed
from local.invoke import Invoked, invoke, send
from local.layout import Folder
from local.logs import read_cloudwatch, read_local
from local.program.declare import ProgramError
from local.report import complete, failures, notes, table
from local.results import Results, read_results
from local.upgrade import UpgradeError, upgrade
from local.upgrade import lines_of as upgrade_lines
from warmup import __main__ as warmup
from warmup.cli.stack import access_to, read_outputs
from warmup.protocol.errors import WarmupError
from warmup.protocol.outputs import LOCAL
from warmup.protocol.records import Json, Record
from warmup.protocol.reports import EndpointAnswer, WarmReport

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Folder(ROOT / ".local", ROOT)
_OTHER_HUBS = (
    "`make up HUB=https://huggingface.co` takes the real one, `make up MODELS=dir` adds dir/<org>/<name>/"
)

_HOST = "run the stack in a container of its own, as on other systems than Linux it does anyway"


@dataclass(frozen=True)
class Stopped(Record):
    """Whether there was a stack to stop, as `make down JSON=1` prints it."""

    stopped: bool


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something failed (named on stderr), 2 usage."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (stack.StackError, ProgramError, UpgradeError, WarmupError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; `make down` stops what has been started", file=sys.stderr)
        return 130


def up(options: argparse.Namespace) -> int:
    if in_container.is_wanted(FOLDER, options.host is not None):
        say = _say_beside if options.json else _say
        return in_container.run(FOLDER, "up", _choices(options), say, as_json=options.json)
    with stack.locked(FOLDER):
        _, code = _up(_choices(options), as_json=options.json)
    return code


def dev(options: argparse.Namespace) -> int:
    """Returns when Ctrl-C was pressed: then nothing runs any more."""
    if in_container.is_wanted(FOLDER, options.host is not None):
        return in_container.run(FOLDER, "dev", _choices(options), _say)
    inference, choices = FOLDER.root / "inference", _choices(options, follows=True)
    with stack.locked(FOLDER):
        changes = watched(inference)
        try:
            next(changes)
            while (running := _up_if_scripts_load(choices)) is None:
                while not next(changes):
                    pass
            follower = Follower(Followed(FOLDER, choices, running, _say), running.program, _say)
            follower.follow(changes)
        except KeyboardInterrupt:
            print()
        finally:
            stack.stop(FOLDER)
            print("stopped; the cache stays, in .local/efs", flush=True)
    return 0


def _up_if_scripts_load(choices: stack.Choices) -> stack.RunningStack | None:
    try:
        running, _ = _up(choices, as_json=False)
    except ProgramError as error:
        print(error, file=sys.stderr)
        print("nothing runs; waiting for a change in inference/ ...", flush=True)
        return None
    return running


def _choices(options: argparse.Namespace, *, follows: bool = False) -> stack.Choices:
    models = tuple(filter(None, options.models))
    return stack.Choices(options.hub or None, models, options.container, follows, dict(options.port))


def _up(choices: stack.Choices, *, as_json: bool) -> tuple[stack.RunningStack, int]:
    began, say = time.monotonic(), _say_beside if as_json else _say
    running = stack.start(FOLDER, choices, say)
    say("warming the cache and asking every endpoint ...")
    code, warmed = stack.warm(FOLDER)
    report = complete(warmed, running.hub.source, running.hub.requests())
    FOLDER.report.write_text(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    if as_json:
        _print_json(report)
    else:
        _show(report, running, time.monotonic() - began)
    if code:
        print("the warm-up failed, see above; the stack stays up: `make warm` tries again", file=sys.stderr)
        if not running.hub.upstream and any(running.hub.url in line for line in report.errors):
            print(f"the embedded Hub lacks a model; {_OTHER_HUBS}", file=sys.stderr)
    return running, code


def _show(report: WarmReport, running: stack.RunningStack, seconds: float) -> None:
    print("", *table(report), "", sep="\n")
    if remarks := [*notes(report), *failures(report)]:
        print(*remarks, "", sep="\n")
    for name, url in running.outputs.function_urls.items():
        print(f"url:   {url}{'  (signed requests alone)' if name in running.program.signed else ''}")
    if answered := next((each for each in report.endpoints if isinstance(each, EndpointAnswer)), None):
        event = json.dumps(answered.request, ensure_ascii=False)
        print(f"ask:   make invoke FN={answered.name} EVENT={shlex.quote(event)}")
    print(f"page:  {FOLDER.page.read_text()}")
    print(f"read:  {_shown(FOLDER.report)}, `make logs`")
    print(f"stop:  make down{' ' * 20}(up in {seconds:.0f} s)")


def down(options: argparse.Namespace) -> int:
    if in_container.is_wanted(FOLDER):
        stopped = in_container.stop(FOLDER)
    else:
        with stack.locked(FOLDER):
            stopped = stack.stop(FOLDER)
    if options.json:
        _print_json(Stopped(stopped))
    else:
        print("stopped; the cache stays, in .local/efs" if stopped else "nothing was running")
    return 0


def call(options: argparse.Namespace) -> int:
    event = options.event or os.environ.get("EVENT") or None
    if options.asynchronous:
        accepted = send(options.function, event, options.stack, ROOT)
        if options.json:
            _print_json(accepted)
        else:
            print(f"accepted as {accepted.request_id}")
        return 0
    answer, failed = invoke(options.function, event, options.stack, ROOT)
    if options.json:
        _print_json(Invoked(options.function, options.stack, _parsed(answer), failed))
    else:
        print(answer, file=sys.stderr if failed else sys.stdout)
    return int(failed)


def results(options: argparse.Namespace) -> int:
    found = read_results(options.function, options.stack, ROOT, FOLDER.results)
    if options.json:
        _print_json(Results(options.function, options.stack, tuple(found)))
        return 0
    for record in found:
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return 0


def logs(options: argparse.Namespace) -> int:
    function = options.function or None
    if options.stack == LOCAL:
        found = read_local(FOLDER.logs, function)
    else:
        outputs = read_outputs(ROOT, options.stack)
        functions = {**outputs.functions}
        if outputs.warmup_arn:
            functions["warmup"] = outputs.warmup_arn
        found = read_cloudwatch(functions, function, access_to(ROOT, outputs))
    if not found.functions:
        print("nothing was logged here yet; `make up` starts the stack", file=sys.stderr)
    if options.json:
        _print_json(found)
        return 0
    for line in found.lines(function):
        print(line)
    return 0


def add(options: argparse.Namespace) -> int:
    say = _say_beside if options.json else _say
    asks_embedded = not options.hub and not os.environ.get("HF_ENDPOINT")
    if asks_embedded and options.model in stand_ins() and in_container.is_wanted(FOLDER, bool(options.host)):
        return _add_in_container(options, say)  # where stand-ins can be built
    with hub_for(FOLDER, options.model, options.hub or None, options.models, say) as (hub, is_embedded):
        given = [*_of_add(options), *([f"--hub={hub}"] if hub else []), "--", options.model]
        code = warmup.main(["add", *given])
    if is_embedded and not code:
        say(NOTE)
    if code == 1 and hub is None and not os.environ.get("HF_ENDPOINT"):
        print(
            f"the embedded Hub has {', '.join(stand_ins())}; MODELS=dir adds dir/<org>/<name>/",
            file=sys.stderr,
        )
    return code


def _add_in_container(options: argparse.Namespace, say: stack.Say) -> int:
    choices = stack.Choices(models=tuple(filter(None, options.models)))
    given = [*_of_add(options), *in_container.arguments_of(choices, {}), "--", options.model]
    return in_container.run_once(FOLDER, ["add", *given], choices, say)


def _of_add(options: argparse.Namespace) -> list[str]:
    """What was given, as `python -m warmup add` takes it too."""
    flags = ["--json"] * options.json + ["--force"] * options.force
    for name in ("task", "name", "revision"):
        flags += [f"--{name}={value}"] if (value := getattr(options, name)) else []
    return flags


def cost(options: argparse.Namespace) -> int:
    found = cost_of_stack(
        ROOT,
        options.stack,
        hub=options.hub or None,
        ask=options.hub is not None,
        times=options.ms,
        report=FOLDER.report,
        note=lambda text: print(text, file=sys.stderr) if text else None,
    )
    if options.json:
        _print_json(found)
    else:
        print(*lines_of(found), sep="\n")
    return 0


def examine(options: argparse.Namespace) -> int:
    report = doctor.examine(ROOT, options.stack)
    if options.json:
        _print_json(report)
    else:
        print(*doctor.lines_of(report), sep="\n")
    return 1 if report.failed else 0


def renew(options: argparse.Namespace) -> int:
    found = upgrade(ROOT, options.to or None, options.remote or None, options.dry_run)
    if options.json:
        _print_json(found)
    else:
        print(*upgrade_lines(found, options.dry_run), sep="\n")
    return 0


def complete_in(options: argparse.Namespace) -> int:
    modules = {"warmup": warmup.whole_parser(), "local": _parser()}
    print(completion(options.shell, modules, ROOT, Path(sys.executable)), end="")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _say_beside(line: str) -> None:
    """With --json, which has stdout for itself."""
    print(line, file=sys.stderr, flush=True)


def _print_json(report: Record) -> None:
    print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))


def _parsed(answer: str) -> Json:
    """An answer; the text itself where it is not JSON."""
    try:
        return json.loads(answer)
    except ValueError:
        return answer


def _port(given: str) -> tuple[str, int]:
    name, _, number = given.partition("=")
    return name, int(number)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(
        required=True, metavar="up | dev | down | add | invoke | results | logs | cost | doctor | ..."
    )
    starting = commands.add_parser(
        "up", help="start the stack, or replace the one that runs; warm it; ask it"
    )
    starting.add_argument("--container", action="store_true", help="run the real images, in containers")
    starting.set_defaults(run=up)
    following = commands.add_parser("dev", help="as up, then follow changes in inference/ until Ctrl-C")
    following.set_defaults(run=dev, container=False)
    for each in (starting, following):
        each.add_argument("--hub", metavar="URL", help="warm from this Hub instead of the embedded one")
        each.add_argument(
            "--models",
            action="append",
            default=[],
            metavar="DIR|ID=DIR",
            help="what else the embedded Hub serves: a folder laid out as DIR/org/name, or one model",
        )
        each.add_argument("--host", choices=("container",), help=_HOST)
        # Where a server of the stack has to listen: in the container, as published.
        each.add_argument("--port", action="append", default=[], type=_port, help=argparse.SUPPRESS)
    stopping = commands.add_parser("down", help="stop it; the cache stays")
    stopping.set_defaults(run=down)
    adding = commands.add_parser("add", help="a script for a model, as `python -m warmup add` writes it")
    adding.add_argument("model", metavar="org/name")
    for name in ("--task", "--name", "--revision", "--hub"):
        adding.add_argument(name)
    adding.add_argument("--models", action="append", default=[], metavar="DIR")
    adding.add_argument("--force", action="store_true")
    adding.add_argument("--host", choices=("container",), help=_HOST)
    adding.set_defaults(run=add)
    asking = commands.add_parser("invoke", help="one request, answer on stdout")
    asking.add_argument("function", help="name of a script")
    asking.add_argument("event", nargs="?", help="JSON, @FILE or -; else $EVENT, else the script's example")
    asking.add_argument("--stack", default=LOCAL)
    asking.add_argument(
        "--async", dest="asynchronous", action="store_true", help="do not wait for the answer"
    )
    asking.set_defaults(run=call)
    taking = commands.add_parser("results", help="what became of asynchronous requests, a line each; once")
    taking.add_argument("function", help="name of a script")
    taking.add_argument("--stack", default=LOCAL)
    taking.set_defaults(run=results)
    reading = commands.add_parser("logs", help="what functions wrote")
    reading.add_argument("function", nargs="?", help="name of a script, or warmup; default: the last of all")
    reading.add_argument("--stack", default=LOCAL)
    reading.set_defaults(run=logs)
    pricing = commands.add_parser("cost", help="what a stack will cost, by its settings and list prices")
    pricing.add_argument("--stack", default=LOCAL)
    pricing.add_argument(
        "--hub",
        nargs="?",
        const="",
        metavar="URL",
        help="ask a Hub for sizes and forecasts; without URL the one of the settings",
    )
    pricing.add_argument(
        "--ms",
        action="append",
        default=[],
        metavar="[NAME=]MS",
        help="how long a warm request takes; for every endpoint, or one",
    )
    pricing.set_defaults(run=cost)
    examining = commands.add_parser("doctor", help="what this machine and the account lack to deploy a stack")
    examining.add_argument("--stack", default="dev")
    examining.set_defaults(run=examine)
    renewing = commands.add_parser("upgrade", help="bring a release of the project into this checkout")
    renewing.add_argument("--to", metavar="RELEASE", help="default: the newest")
    renewing.add_argument("--remote", help="default: upstream, else origin")
    renewing.add_argument("--dry-run", action="store_true", help="show what would be written, write nothing")
    renewing.set_defaults(run=renew)
    for each in commands.choices.values():
        if each is following:  # it reports as it goes
            continue
        each.add_argument("--json", action="store_true", help="the report on stdout, as JSON")
    completing = commands.add_parser("completion", help="a script that completes these commands in a shell")
    completing.add_argument("shell", choices=SHELLS)
    completing.set_defaults(run=complete_in)
    return parser


if __name__ == "__main__":
    sys.exit(main())
