"""`python -m warmup batch FN input.jsonl -o output.jsonl`: each line an event, each answered in its place.

Stopped, the same command goes on where it was: the output is all that it remembers.

`batch FN s3://bucket/input.jsonl -o s3://bucket/results/` has AWS do it, for an endpoint with `batch: true`.
"""

from __future__ import annotations

import argparse
import json
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..cli.display import LINE_SECONDS
from ..cli.exit_codes import DONE, FAILED, exit_code, say
from ..cli.stack import StackClient, access_to, read_outputs
from ..prices import GB_SECOND_USD
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.outputs import LOCAL, StackOutputs
from ..protocol.records import Record
from .files import count_lines, input_lines, open_output
from .run import Batch, Tally, Target
from .states import SCHEME, Counts, MachineRun, Place, StatesReport

ROOT = Path(__file__).parents[2]
MOST_AT_ONCE = 500
_DEFAULT_MEMORY_MB = 3008
Show = Callable[[Tally], None]


@dataclass(frozen=True)
class BatchReport(Record):
    """What a run did. `done`: lines of the output, with those of earlier runs; `usd`: of this run."""

    stack: str
    endpoint: str
    total: int | None
    done: int
    written: int
    failed: int
    refusals: int
    seconds: float
    usd: float


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 every line has its answer, 1 some have an error or the run stopped, 2 usage."""
    options = parser().parse_args(arguments)
    if options.input.startswith(SCHEME) or options.output.startswith(SCHEME):
        going_on = "stopped looking; the execution goes on in AWS, and the same command joins it"
        return exit_code(lambda: _report_of_states(options), interrupted=going_on)
    return exit_code(
        lambda: _report(options), interrupted=f"stopped; the same command goes on where {options.output} ends"
    )


def _report_of_states(options: argparse.Namespace) -> int:
    report = _run_states(options)
    print(json.dumps(report.to_json(), indent=2) if options.json else _lines_of_states(report))
    failures = [f"{report.errors:,} lines have an error"] if report.errors else []
    failures += [f"{report.failed:,} lines have no output: FAILED files beside it"] if report.failed else []
    return say(failures, FAILED if failures else DONE)


def _run_states(options: argparse.Namespace) -> StatesReport:
    outputs = _outputs(options)
    if outputs.stack == LOCAL or outputs.endpoint_url:
        raise WarmupError(ErrorKind.USAGE, "a batch of S3 runs in AWS: name a stack, --stack dev")
    machines = outputs.batch
    if machines is None or options.endpoint not in machines.machines:
        raise WarmupError(
            ErrorKind.USAGE,
            f"{options.endpoint} has no state machine: pulumi config set --path endpoints.{options.endpoint}"
            f".batch true, with batchBucket, then {outputs.deploy_command}",
        )
    given, results = Place.of(options.input, machines), Place.of(options.output, machines)
    access = access_to(ROOT, outputs, options.outputs)
    run = MachineRun(access, machines.machines[options.endpoint], given, results)
    stream, began = sys.stderr if options.json else sys.stdout, time.monotonic()
    how = run.start(parallel=options.parallel, tolerated_percent=options.tolerate)
    print(f"{how}: {run.arn}", file=stream)
    ended = run.follow(_counted(stream, options.endpoint))
    files, counts = run.results(ended.manifest), ended.counts
    errors = sum("error" in line for place in files for line in run.lines(place))
    return StatesReport(
        stack=outputs.stack,
        endpoint=options.endpoint,
        execution=run.arn,
        results=tuple(map(str, files)),
        lines=counts.total,
        errors=errors,
        failed=counts.failed,
        seconds=round(time.monotonic() - began, 1),
    )


def _counted(stream: TextIO, endpoint: str) -> Callable[[Counts], None]:
    """A line when there are more."""
    last = 0

    def show(counts: Counts) -> None:
        nonlocal last
        if counts.done > last:
            last = counts.done
            failed = f", {counts.failed:,} failed" if counts.failed else ""
            stream.write(f"{endpoint}: {counts.done:,} of {counts.total:,} lines{failed}\n")
            stream.flush()

    return show


def _lines_of_states(report: StatesReport) -> str:
    return "\n".join([f"{report.lines:,} lines in {_duration(report.seconds)}; results:", *report.results])


def _report(options: argparse.Namespace) -> int:
    report = _run(options)
    print(json.dumps(report.to_json(), indent=2) if options.json else _line_of(report))
    if report.failed:
        return say([f'{report.failed} lines have an "error": grep \'"error":\' {options.output}'], FAILED)
    return DONE


def _run(options: argparse.Namespace) -> BatchReport:
    outputs = _outputs(options)
    given, place = Path(options.input), Path(options.output)
    total = _check_input(given, place)
    client = StackClient(outputs, access_to(ROOT, outputs, options.outputs))
    batch = Batch(client, _target(client, options.endpoint), parallel=options.parallel)
    stream = sys.stderr if options.json else sys.stdout
    with open_output(place) as output, given.open("rb") as file:
        lines = input_lines(file)
        output.check(lines)
        before = output.done
        if before:
            print(f"{options.output} has {before:,} lines; going on after them", file=stream)
        batch.tally.began = time.monotonic()
        with _progress(stream, options.endpoint, before, total) as show:
            batch.show = show
            try:
                batch.run(lines, output)
            except WarmupError as error:
                if error.kind is ErrorKind.USAGE:
                    raise
                going_on = f"{output.done:,} lines are done; the same command goes on after them"
                raise WarmupError(error.kind, f"{error}\n{going_on}") from error
        tally = batch.tally
        return BatchReport(
            stack=outputs.stack,
            endpoint=options.endpoint,
            total=total,
            done=output.done,
            written=tally.written,
            failed=tally.failed,
            refusals=tally.refusals,
            seconds=round(tally.seconds, 1),
            usd=tally.usd,
        )


def _outputs(options: argparse.Namespace) -> StackOutputs:
    """Of the stack that has the endpoint. Raises WarmupError."""
    outputs = read_outputs(ROOT, options.stack, options.outputs, options.endpoint_url)
    if options.endpoint not in outputs.functions:
        known = ", ".join(sorted(outputs.functions)) or "none"
        message = f"there is no endpoint {options.endpoint!r} in stack {outputs.stack}; there are: {known}"
        raise WarmupError(ErrorKind.USAGE, message)
    return outputs


def _check_input(given: Path, output: Path) -> int | None:
    """How many lines it has, where it can be read twice. Raises WarmupError."""
    try:
        mode = given.stat().st_mode
        if output.exists() and output.samefile(given):
            raise WarmupError(ErrorKind.USAGE, f"{output} is the input; name another output with -o")
        return count_lines(given) if stat.S_ISREG(mode) else None
    except OSError as error:
        raise WarmupError(ErrorKind.USAGE, f"{given} cannot be read: {error.strerror}") from error


def _target(client: StackClient, endpoint: str) -> Target:
    """What its seconds cost, by its configuration; whoever may invoke it need not be allowed to ask that."""
    arn = client.outputs.functions[endpoint]
    memory_mb, architecture = client.outputs.memory_mb.get(endpoint, _DEFAULT_MEMORY_MB), "x86_64"
    try:
        found = client.lambda_client(60).get_function_configuration(FunctionName=arn)
    except (BotoCoreError, ClientError):
        return Target(arn, memory_mb, architecture)
    named = (found.get("Architectures") or [architecture])[0]
    return Target(arn, found.get("MemorySize", memory_mb), named if named in GB_SECOND_USD else architecture)


@contextmanager
def _progress(stream: TextIO, endpoint: str, done: int, total: int | None) -> Iterator[Show]:
    """Lines done, their speed, the time left and the cost: a bar on a terminal, else a line now and then."""
    if not stream.isatty():
        yield _lines(stream, endpoint, done, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(file=stream), refresh_per_second=5) as progress:
        task = progress.add_task(endpoint, total=total, completed=done, rate="")
        yield lambda tally: progress.update(task, completed=done + tally.written, rate=_rate(tally))


def _lines(stream: TextIO, endpoint: str, done: int, total: int | None) -> Show:
    last = time.monotonic()

    def show(tally: Tally) -> None:
        nonlocal last
        if time.monotonic() - last < LINE_SECONDS:
            return
        last = time.monotonic()
        of = left = ""
        if total is not None:
            remaining_s = (total - done - tally.written) * tally.seconds / tally.written
            of, left = f" of {total:,}", f", {_duration(remaining_s)} left"
        stream.write(f"{endpoint}: {done + tally.written:,}{of} lines, {_rate(tally)}{left}\n")
        stream.flush()

    return show


def _rate(tally: Tally) -> str:
    rate = tally.written / tally.seconds if tally.seconds else 0.0
    failed = f", {tally.failed:,} failed" if tally.failed else ""
    return f"{rate:.1f}/s{failed}, ${tally.usd:.4f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _line_of(report: BatchReport) -> str:
    refusals = f", {report.refusals:,} refusals waited for" if report.refusals else ""
    return (
        f"{report.done:,} lines are answered, {report.written:,} of them now in "
        f"{_duration(report.seconds)}{refusals}; Lambda billed ${report.usd:.4f} at list prices"
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m warmup batch",
        description=__doc__,
        epilog="Exit codes: 0 every line is answered, 1 not, 2 usage.",
    )
    made.add_argument("endpoint", metavar="FN", help="name of a script")
    made.add_argument("input", help="events as JSON lines: a file, or s3://bucket/input.jsonl")
    made.add_argument(
        "-o",
        "--output",
        required=True,
        help="answers as JSON lines, in their order; of S3: s3://bucket/folder/",
    )
    made.add_argument("--stack", help="as for the warm-up; default: local")
    made.add_argument("--outputs", type=Path, metavar="FILE", help="outputs from a JSON file instead")
    made.add_argument("--endpoint-url", metavar="URL", help="a Lambda Invoke API other than AWS's")
    made.add_argument(
        "--parallel",
        type=_requests,
        default=10,
        metavar="N",
        help=f"requests at once, 1 to {MOST_AT_ONCE}; fewer while Lambda refuses some. Default: 10",
    )
    made.add_argument(
        "--tolerate",
        type=_percent,
        default=5.0,
        metavar="PERCENT",
        help="of S3: lines that may fail by the endpoint before all of it does, 0 to 100. Default: 5",
    )
    made.add_argument("--json", action="store_true", help="the report on stdout, progress on stderr")
    return made


def _percent(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or float(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100")
    return float(text)


def _requests(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_AT_ONCE}")
    return int(text)
