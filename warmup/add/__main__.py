"""`python -m warmup add org/name` writes a script for a model, `remove NAME` takes it away."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ..cli.exit_codes import DONE, exit_code, say
from ..protocol.records import Record
from .command import AddReport, add, remove

ROOT = Path(__file__).parents[2]
_MB = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 done, 1 the model cannot be served or the Hub says no, 2 usage."""
    options = _parser().parse_args(arguments)
    command = _add if options.action == "add" else _remove
    return exit_code(lambda: command(options), interrupted="interrupted; nothing was written")


def _add(options: argparse.Namespace) -> int:
    report = add(
        options.model,
        options.scripts,
        task=options.task,
        name=options.name,
        revision=options.revision,
        hub=options.hub,
        force=options.force,
        note=_note,
    )
    return _print(options, report, _lines_of(report))


def _remove(options: argparse.Namespace) -> int:
    report = remove(options.name, options.scripts, options.kept)
    lines = [
        f"removed {report.path}; a copy lies in {report.copy}",
        "next: `make up`, or `pulumi up`, removes the endpoint; `python -m warmup prune` the model",
    ]
    return _print(options, report, lines)


def _print(options: argparse.Namespace, report: Record, lines: Sequence[str]) -> int:
    for line in [json.dumps(report.to_json(), indent=2, ensure_ascii=False)] if options.json else lines:
        print(line)
    return DONE


def commands() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Name -> what it does, and the parser of its options."""
    parser = _parser()
    (each,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in each._choices_actions}
    return {name: (helps[name], options) for name, options in each.choices.items()}


def _lines_of(report: AddReport) -> list[str]:
    """The report for people."""
    cost = (
        f"{report.measured}; requests of a second each are ${report.usd_per_million_seconds:.2f} per million"
    )
    if report.usd_per_million is not None:
        cost = f"about ${report.usd_per_million:.2f} per million ({report.warm_ms:g} ms: {report.measured})"
    shown = ", ".join(report.labels[:8]) + (
        f" and {len(report.labels) - 8} more" if report.labels[8:] else ""
    )
    gating = (
        f"; gated ({report.gated}): accept its terms at {report.hub}/{report.repo_id}" if report.gated else ""
    )
    fields = {
        "task": report.task,
        "model": f"{report.repo_id} at {report.commit[:12]}, of {report.hub}",
        "licence": f"{report.licence or 'the card names none: ask its authors'}{gating}",
        "labels": shown,
        "engine": f"{report.engine}: {report.why}",
        "image": report.image,
        "memory": f"needs about {report.needs_mb:,} MB; memoryMb {report.memory_mb}",
        "download": f"{_mb(report.download_bytes)} once, by the warm-up; "
        f"up to {_mb(report.cold_read_bytes)} read at a cold start",
        "cost": f"{cost}, at {report.memory_mb:,} MB on x86_64",
    }
    lines = [f"wrote {report.path}"]
    lines += [f"  {key:9} {value}" for key, value in fields.items() if value]
    lines += [f"note: {note}" for note in report.notes]
    return [
        *lines,
        f"next: `make up`, or `pulumi up` and the warm-up; `make remove NAME={report.name}` is the way back",
    ]


def _mb(count: int) -> str:
    return f"{count / _MB:,.0f} MB" if count >= 10 * _MB else f"{count / _MB:.1f} MB"


def _note(text: str) -> None:
    if text:
        say([text])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m warmup", description=__doc__)
    commands = parser.add_subparsers(dest="action", required=True, metavar="add | remove")
    adding = commands.add_parser("add", help="write a script for a model of the Hub")
    adding.add_argument("model", metavar="org/name")
    adding.add_argument("--task", help="default: what the model's card says, else its architecture")
    adding.add_argument("--name", help="of the script and the endpoint; default: the model's")
    adding.add_argument("--revision", help="branch, tag or commit; the script pins the commit. Default: main")
    adding.add_argument("--hub", metavar="URL", help="default: HF_ENDPOINT, else https://huggingface.co")
    adding.add_argument("--force", action="store_true", help="write over a script of this name")
    removing = commands.add_parser("remove", help="take a script away; a copy stays in .local/removed")
    removing.add_argument("name")
    removing.add_argument("--kept", type=Path, default=ROOT / ".local/removed", help=argparse.SUPPRESS)
    for each in (adding, removing):
        each.add_argument("--json", action="store_true", help="the report as JSON")
        each.add_argument("--scripts", type=Path, default=ROOT / "inference", help=argparse.SUPPRESS)
    return parser
