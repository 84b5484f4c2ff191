"""`python -m warmup fetch --into FOLDER` on the operator's machine, `prepare` while an image is built."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from discovery import Script, read_scripts

from ..add.command import hub_source
from ..cli.display import display, size
from ..cli.exit_codes import DONE, FAILED, exit_code, say
from ..cli.tables import lines_of
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.reports import FetchReport
from .fetch import fetch_endpoint
from .prepare import prepare_endpoint

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 done, 1 something failed (named on stderr), 2 usage."""
    options = _parser().parse_args(arguments)
    command = _fetch if options.action == "fetch" else _prepare
    return exit_code(
        lambda: command(options), interrupted="interrupted; what arrived whole stays, run again to go on"
    )


def _fetch(options: argparse.Namespace) -> int:
    scripts = _chosen(options.scripts, options.endpoint)
    # --json keeps stdout for the report.
    with display(sys.stderr if options.json else sys.stdout) as shown:
        hub = hub_source(options.hub)
        fetched = {
            script.name: fetch_endpoint(script, options.into / script.name, hub, shown.show)
            for script in scripts
        }
    if options.json:
        print(json.dumps(FetchReport(str(options.into), fetched).to_json(), indent=2, ensure_ascii=False))
        return DONE
    for name, models in fetched.items():
        for model in models:
            what = f"{model.repo_id} at {model.commit[:12]}, {model.files} files, {size(model.bytes)}"
            print(f"{options.into / name}: {what}")
    return DONE


def _prepare(options: argparse.Namespace) -> int:
    os.environ["HF_HUB_OFFLINE"] = "1"
    (script,) = _chosen(options.scripts, [options.endpoint])
    with display(sys.stdout) as shown:
        report = prepare_endpoint(script, options.folder, os.environ, shown.show, memory_mb=options.memory_mb)
    for line in lines_of(report):
        print(line)
    return say(report.errors, FAILED if report.errors else DONE)


def _chosen(folder: Path, names: Sequence[str]) -> list[Script]:
    scripts = {script.name: script for script in read_scripts(folder)}
    unknown = [name for name in names if name not in scripts]
    if unknown:
        known = ", ".join(sorted(scripts)) or "none"
        raise WarmupError(
            ErrorKind.USAGE, f"--endpoint {unknown[0]}: there is no such script; there are {known}"
        )
    return [scripts[name] for name in dict.fromkeys(names or scripts)]


def add_fetch(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The command of the operator; `prepare` is the Dockerfile's."""
    fetching = actions.add_parser("fetch", help="bring models to this machine, verified as the warm-up does")
    fetching.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    fetching.add_argument(
        "--endpoint",
        action="append",
        default=[],
        metavar="NAME",
        help="this one; default: all, each in a folder",
    )
    fetching.add_argument("--hub", metavar="URL", help="default: HF_ENDPOINT, else huggingface.co")
    fetching.add_argument("--json", action="store_true", help="the report on stdout, progress on stderr")
    return fetching


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m warmup", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    fetching = add_fetch(actions)
    preparing = actions.add_parser("prepare", help="prepare what was fetched, without network and token")
    preparing.add_argument("--folder", type=Path, required=True, help="of one endpoint")
    preparing.add_argument("--endpoint", required=True, metavar="NAME")
    preparing.add_argument("--memory-mb", type=int, metavar="MB", help="of the function")
    for each in (fetching, preparing):
        each.add_argument("--scripts", type=Path, default=ROOT / "inference", help=argparse.SUPPRESS)
    return parser
