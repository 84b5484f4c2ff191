"""`python -m local.models --into DIR`: build the stand-ins that are missing there."""

import argparse
import importlib
import sys
from pathlib import Path

from .building import BuildError, build
from .stand_ins import STAND_INS, StandIn


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 where a stand-in cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m local.models", description=__doc__)
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--only",
        choices=[stand_in.builder for stand_in in STAND_INS],
        help="build this one, its files straight into DIR, in this process",
    )
    parser.add_argument(
        "--for",
        nargs="*",
        dest="repo_ids",
        metavar="ID",
        help="build only what stands in for these models; what has no stand-in is passed over",
    )
    options = parser.parse_args(arguments)
    if options.only:
        _build_here(options.only, options.into)
        return 0
    try:
        build(options.into, progress=print, stand_ins=_wanted(options.repo_ids))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _wanted(repo_ids: list[str] | None) -> list[StandIn]:
    return [stand_in for stand_in in STAND_INS if repo_ids is None or stand_in.repo_id in repo_ids]


def _build_here(builder: str, folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    importlib.import_module(f".{builder}", __package__).build(folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    sys.exit(main())
