"""`python -m bench --stack dev`: what the endpoints of a stack take where they run, by REPORT lines.

Cold starts are forced by changing the memory of the function: the alias `live` goes on serving its published
version. However the run ends, the function gets its memory back; where the process was killed,
the next run gives it back first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError

from bench import figures, report
from bench.figures import REPOSITORY, Measured
from discovery import Script, ScriptError, read_scripts
from hf_lambda.atomic import replace_text
from hf_lambda.records import Json
from local.report_line import ReportLine
from warmup import prices
from warmup.cli.access import Client
from warmup.cli.ask import fault_of, request_line
from warmup.cli.stack import (
    ANSWER_TIMEOUT_SECONDS,
    Invocation,
    StackClient,
    SwitchedOff,
    access_to,
    invoke_once,
    invoke_when_ready,
    read_outputs,
)
from warmup.protocol.errors import WarmupError
from warmup.protocol.outputs import LOCAL

FOLDER = REPOSITORY / ".local" / "bench" / "stacks"
MEMORY_MB = (1024, 1769, 2048, 3008)
"""1,769 MB have one whole processor; new accounts are held to 3,008."""
LEAST_MEMORY_MB, MOST_MEMORY_MB = 128, 10_240
HEADROOM = 1.15
"""A size holds a process that used so much less."""
NEARLY = 1.10
"""Costs so close to the cheapest that the faster one is worth them."""
TRACES = 5
"""BatchGetTraces takes no more: https://docs.aws.amazon.com/xray/latest/api/API_BatchGetTraces.html"""
_METHOD = (
    "Medians; first answers by the clock of the machine that asked, the rest by Lambda's REPORT lines. First",
    "answer: the function's memory was changed (by a megabyte, or to this size), so that every instance is",
    "new. First of the run: the file system was as cold as it was found; the first answers after it find",
    "what EFS keeps close of files that were just read. What it keeps and for how long AWS does not say: for",
    "a colder one, run it after a pause. Peak: what an instance used at most. USD per million: the mean of",
    "what warm requests are billed, with the price of a request.",
)


@dataclass(frozen=True)
class Plan:
    """How often each is asked."""

    memory_mb: Sequence[int] = MEMORY_MB
    cold: int = 3
    warm: int = 50
    burst: int = 10


@dataclass(frozen=True)
class Asked:
    """One request: what the caller waited, and what Lambda says of it."""

    seconds: float
    line: ReportLine
    is_cold: bool


@dataclass
class Size:
    """One endpoint with one memory size."""

    memory_mb: int
    first: list[Asked] = field(default_factory=list)
    warm: list[Asked] = field(default_factory=list)
    burst: list[Asked] = field(default_factory=list)
    throttled: int = 0

    @property
    def peak_mb(self) -> int | None:
        """None where no line says it."""
        lines = [each.line for each in (*self.first, *self.warm, *self.burst)]
        return max((each.peak_mb for each in lines if each.peak_mb is not None), default=None)

    @property
    def warm_ms(self) -> list[float]:
        return [each.line.duration_ms for each in self.warm if each.line.duration_ms is not None]

    def million_usd(self, architecture: str) -> float | None:
        billed = [each.line.billed_ms for each in self.warm if each.line.billed_ms is not None]
        return prices.million_usd(self.memory_mb, mean(billed), architecture) if billed else None


@dataclass
class Endpoint:
    """What was measured of one."""

    name: str
    architecture: str
    sizes: list[Size] = field(default_factory=list)
    first_of_run: Asked | None = None
    notes: list[str] = field(default_factory=list)


class NoAnswerError(Exception):
    """The endpoint failed, or said that the event is wrong: nothing is to be measured."""


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Exit code 0 when every endpoint was measured, 1 when one was not (named), 2 for wrong usage."""
    given = _parser().parse_args(arguments)
    with _stopping_in_order():
        return _measure_stack(given, folder)


def _measure_stack(given: argparse.Namespace, folder: Path) -> int:
    try:
        outputs = read_outputs(REPOSITORY, given.stack, given.outputs, given.endpoint_url)
        client = StackClient(outputs, access_to(REPOSITORY, outputs, given.outputs))
        api = client.lambda_client(ANSWER_TIMEOUT_SECONDS, retries={"total_max_attempts": 1})
        scripts = [each for each in read_scripts(given.scripts) if each.name in outputs.functions]
    except (WarmupError, ScriptError) as error:
        _say(str(error))
        return 2
    chosen = [each for each in scripts if not given.only or each.name in given.only]
    if unknown := sorted({*(given.only or ())} - {each.name for each in scripts}):
        _say(f"{', '.join(unknown)} is no endpoint of {outputs.stack}; there are: "
             f"{', '.join(each.name for each in scripts)}")  # fmt: skip
        return 2
    plan = Plan(tuple(dict.fromkeys(given.memory or MEMORY_MB)), given.cold, given.warm, given.burst)
    kept, failed, measured = folder / outputs.stack, [], []
    traces = None if outputs.endpoint_url else _traces_of(client)
    for script in chosen:
        try:
            found = measure(api, script, outputs.functions[script.name], plan, kept, traces)
        except (NoAnswerError, ClientError, BotoCoreError) as error:
            failed.append(script.name)
            _say(f"{script.name}: {error}")
            continue
        measured.append(found)
        figures.write(_as_measured(found, plan, outputs.stack), kept)
    if measured:
        page = page_of(measured, plan, outputs.stack)
        kept.mkdir(parents=True, exist_ok=True)
        target = given.output or kept / "results.md"
        replace_text(target, page)
        sys.stdout.write(page)
        _say(f"written to {target}")
    return 1 if failed else 0


def measure(
    api: Client,
    script: Script,
    arn: str,
    plan: Plan,
    folder: Path,
    traces: Callable[[Sequence[str]], list[str]] | None = None,
) -> Endpoint:
    """Cold starts, warm requests and a burst at each memory size. Raises NoAnswerError, ClientError."""
    name = ":".join(arn.split(":")[:7])  # of the function: its alias stays out of it
    event = json.dumps(script.example).encode()
    with kept_memory(api, name, folder / f"{script.name}.memory") as configuration:
        architectures = configuration.get("Architectures") or ["x86_64"]
        found = Endpoint(script.name, architectures[0])
        for memory_mb in plan.memory_mb:
            size = Size(memory_mb)
            try:
                _measure_size(api, name, event, plan, size, found)
            except ClientError as error:
                if error.response["Error"]["Code"] != "InvalidParameterValueException":
                    raise
                found.notes.append(f"{memory_mb:,} MB was refused: {error.response['Error'].get('Message')}")
                continue
            found.sizes.append(size)
        if traces:
            ids = [each.line.trace_id for size in found.sizes for each in size.first if each.line.trace_id]
            found.notes += traces(ids[:TRACES]) if ids else []
    if not found.sizes:
        raise NoAnswerError("no memory size was accepted: " + "; ".join(found.notes))
    return found


@contextlib.contextmanager
def kept_memory(api: Client, name: str, record: Path) -> Iterator[dict[str, Json]]:
    """The function's configuration; however the block is left, its memory is as before.

    record: where the memory is kept meanwhile, for a run that comes after one that was killed.
    """
    if record.exists():
        memory_mb = int(record.read_text())
        _say(f"an earlier run was killed; giving {name.rpartition(':')[2]} its {memory_mb:,} MB back")
        _set_memory(api, name, memory_mb)
    configuration = api.get_function_configuration(FunctionName=name)
    memory_mb = int(configuration["MemorySize"])
    record.parent.mkdir(parents=True, exist_ok=True)
    replace_text(record, f"{memory_mb}\n")
    try:
        yield configuration
    finally:
        _set_memory(api, name, memory_mb)
        record.unlink()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that as large a share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def recommend(endpoint: Endpoint) -> str:
    """The fastest of the sizes that hold the process and cost nearly as little as the cheapest of these."""
    peaks = [size.peak_mb for size in endpoint.sizes if size.peak_mb is not None]
    peak_mb = max(peaks, default=0)
    holding = {
        size.memory_mb: (usd, median(size.warm_ms))
        for size in endpoint.sizes
        if size.memory_mb >= peak_mb * HEADROOM
        and (usd := size.million_usd(endpoint.architecture)) is not None
        and size.warm_ms
    }
    if not holding:
        return f"None of these sizes holds {peak_mb:,} MB with room to spare: measure larger ones (--memory)."
    cheapest = min(usd for usd, _ in holding.values())
    near = {memory_mb: each for memory_mb, each in holding.items() if each[0] <= cheapest * NEARLY}
    memory_mb, (usd, p50_ms) = min(near.items(), key=lambda each: (each[1][1], each[0]))
    return (
        f"Recommended: {memory_mb:,} MB, ${usd:.2f} for a million warm requests of {p50_ms:.1f} ms (the "
        f"fastest of those within {NEARLY - 1:.0%} of the cheapest, ${cheapest:.2f}): `pulumi config set "
        f"--path endpoints.{endpoint.name}.memoryMb {memory_mb}`."
        f"{'' if peaks else ' What it uses of that is not known: no REPORT said so.'}"
    )


def page_of(endpoints: Sequence[Endpoint], plan: Plan, stack: str) -> str:
    """The table of each endpoint as `make bench` has it, what to choose by it, and the prices in it."""
    parts = [f"# Benchmark of the stack {stack}", "", *_METHOD, ""]
    for endpoint in endpoints:
        measured = _as_measured(endpoint, plan, stack)
        parts += [f"## {endpoint.name}", "", f"{measured.on}.", ""]
        parts += [*report.table(measured.contenders), "", recommend(endpoint), ""]
        parts += [line for size in endpoint.sizes if (line := _burst(size))]
        parts += ["", *(f"- {note}" for note in endpoint.notes), ""]
    used = {"requests": prices.REQUESTS}
    used |= {f"duration, {each}": prices.DURATION[each] for each in {e.architecture for e in endpoints}}
    parts += ["## Prices", "", f"List prices of {prices.REGION}, without free tiers.", ""]
    parts += ["| | USD | of | on | read |", "|---|---|---|---|---|"]
    parts += [
        f"| {name} | {each.usd:.10g} | {each.unit} | {each.date} | {each.page}, {each.read} |"
        for name, each in used.items()
    ]
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def _measure_size(api: Client, name: str, event: bytes, plan: Plan, size: Size, endpoint: Endpoint) -> None:
    said = f"{endpoint.name} at {size.memory_mb:,} MB"
    _say(f"{said}: {plan.cold} cold starts")
    for _ in range(plan.cold):
        _renew(api, name, size.memory_mb)
        asked = _ask(api, name, event)
        if not asked.is_cold:
            endpoint.notes.append(f"{said}: a request after a change met an instance that was there")
        elif endpoint.first_of_run is None:
            endpoint.first_of_run = asked
        else:
            size.first.append(asked)
    _say(f"{said}: {plan.warm} warm requests")
    size.warm += [each for _ in range(plan.warm) if not (each := _ask(api, name, event)).is_cold]
    if plan.burst:
        _say(f"{said}: {plan.burst} at once")
        _renew(api, name, size.memory_mb)
        with ThreadPoolExecutor(plan.burst) as pool:
            answers = list(pool.map(lambda _: _ask_or_none(api, name, event), range(plan.burst)))
        size.burst = [each for each in answers if each]
        size.throttled = answers.count(None)


def _renew(api: Client, name: str, memory_mb: int) -> None:
    """Another configuration than the last, which no instance has: a megabyte less, or as asked for."""
    now = api.get_function_configuration(FunctionName=name)["MemorySize"]
    other = memory_mb - 1 if memory_mb > LEAST_MEMORY_MB else memory_mb + 1
    _set_memory(api, name, other if now == memory_mb else memory_mb)


def _set_memory(api: Client, name: str, memory_mb: int) -> None:
    """And waits until requests meet it."""
    api.update_function_configuration(FunctionName=name, MemorySize=memory_mb)
    api.get_waiter("function_updated_v2").wait(FunctionName=name)


def _ask(api: Client, name: str, event: bytes) -> Asked:
    try:
        return _asked(invoke_when_ready(api, name, event, LogType="Tail"))
    except SwitchedOff:
        raise NoAnswerError(
            "it is switched off: with reservedConcurrency 0 AWS refuses every request"
        ) from None


def _ask_or_none(api: Client, name: str, event: bytes) -> Asked | None:
    """None: throttled."""
    try:
        return _asked(invoke_once(api, name, event, LogType="Tail"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "TooManyRequestsException":
            raise
        return None


def _asked(invocation: Invocation) -> Asked:
    if fault := fault_of(invocation):
        raise NoAnswerError(fault.text)
    line, cold = ReportLine.of(invocation.log), request_line(invocation.log).get("cold")
    # A handler that is none of ours says nothing of it, and Lambda says how long it initialised.
    return Asked(invocation.seconds, line, line.init_ms is not None if cold is None else bool(cold))


def _as_measured(endpoint: Endpoint, plan: Plan, stack: str) -> Measured:
    rows: dict[str, dict[str, Json]] = {}
    for size in endpoint.sizes:
        row: dict[str, Json] = {"first_s": [each.seconds for each in size.first]}
        if endpoint.first_of_run and size is endpoint.sizes[0]:
            row["first_of_run_s"] = endpoint.first_of_run.seconds
        for key, name in (("init_s", "init_ms"), ("first_billed_s", "billed_ms")):
            values = [value / 1000 for each in size.first if (value := getattr(each.line, name)) is not None]
            row |= {key: values} if values else {}
        if size.warm_ms:
            row["warm:p50"] = median(size.warm_ms) / 1000
            row["warm:p99"] = percentile(size.warm_ms, 0.99) / 1000
        row |= {} if size.peak_mb is None else {"peak_mb": size.peak_mb}
        row |= {"usd_per_million": size.million_usd(endpoint.architecture)}
        rows[f"{size.memory_mb:,} MB"] = row
    what = "the local stack's emulator" if stack == LOCAL else "Lambda"
    where = f"{what}, {endpoint.architecture}, stack {stack}"
    on = figures.today(f"{where}; {plan.cold} cold starts, {plan.warm} warm requests")
    return Measured(endpoint.name, plan.cold, on, rows, endpoint.notes)


def _burst(size: Size) -> str:
    if not size.burst and not size.throttled:
        return ""
    seconds = [each.seconds for each in size.burst]
    took = (
        f"the median waited {median(seconds):.2f} s, the last {max(seconds):.2f} s"
        if seconds
        else "none was answered"
    )
    cold = sum(each.is_cold for each in size.burst)
    throttled = f", {size.throttled} were throttled" if size.throttled else ""
    at_once = f"{len(seconds) + size.throttled} at once at {size.memory_mb:,} MB"
    return f"- {at_once}: {took}; {cold} were cold{throttled}."


def _traces_of(client: StackClient) -> Callable[[Sequence[str]], list[str]]:
    def traces(ids: Sequence[str]) -> list[str]:
        """A sentence for each trace: what Lambda did before and after the handler."""
        try:
            found = client.access.client("xray").batch_get_traces(TraceIds=list(ids))["Traces"]
        except (ClientError, BotoCoreError, WarmupError) as error:
            return [f"X-Ray was not asked: {error}"]
        return [line for each in found if (line := trace_line(each))]

    return traces


def trace_line(trace: Mapping[str, Json]) -> str:
    """The parts of one trace by Lambda's own names, in milliseconds; empty where it has none."""
    documents = [json.loads(each["Document"]) for each in trace.get("Segments", [])]
    parts = [
        f"{part['name']} {1000 * (part['end_time'] - part['start_time']):.0f} ms"
        for each in documents
        if str(each.get("origin", "")).startswith("AWS::Lambda")
        for part in each.get("subsegments", [])
        if "end_time" in part
    ]
    return f"X-Ray, trace {trace.get('Id')}: {', '.join(parts)}." if parts else ""


@contextlib.contextmanager
def _stopping_in_order() -> Iterator[None]:
    """Told to end, the process gives back what it changed, as it does at Ctrl-C."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench --stack", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--stack", required=True, help="a stack that is deployed and warmed; local: `make up`"
    )
    parser.add_argument("--only", action="append", help="one endpoint, by its script's name; may be repeated")
    parser.add_argument("--memory", action="append", type=_memory, help="a size in MB; may be repeated")
    parser.add_argument("--cold", type=_count, default=Plan.cold, help="cold starts at each size")
    parser.add_argument("--warm", type=_count, default=Plan.warm, help="warm requests at each size")
    parser.add_argument(
        "--burst", type=_count_or_none, default=Plan.burst, help="requests at once at each size; 0: none"
    )
    parser.add_argument("--output", type=Path, help="the page; default: .local/bench/stacks/STACK/results.md")
    parser.add_argument(
        "--outputs", type=Path, help="a file with the stack's outputs, instead of asking Pulumi"
    )
    parser.add_argument("--endpoint-url", help="of another Lambda API than the stack's own")
    parser.add_argument("--scripts", type=Path, default=REPOSITORY / "inference", help=argparse.SUPPRESS)
    return parser


def _memory(text: str) -> int:
    number = int(text)
    if not LEAST_MEMORY_MB <= number <= MOST_MEMORY_MB:
        raise argparse.ArgumentTypeError(f"must be {LEAST_MEMORY_MB} to {MOST_MEMORY_MB:,} MB")
    return number


def _count(text: str, least: int = 1) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}")
    return number


def _count_or_none(text: str) -> int:
    return _count(text, least=0)


def _say(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")
