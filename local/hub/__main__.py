"""`python -m local.hub --models DIR [--models ORG/NAME=DIR ...]`: serve folders of models as the Hub."""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from hf_lambda.atomic import replace_text

from .repositories import Repository, find_repositories
from .server import Hub, serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; exit code 2 for models that cannot be served."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    try:
        found = _repositories(options.models)
    except ValueError as problem:
        print(f"hub: {problem}", file=sys.stderr)
        return 2
    hub = Hub({})
    hub.repositories.update(found)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with serve(hub, host=options.host, port=options.port) as running:
        if options.port_file:
            replace_text(options.port_file, str(running.port))
        print(f"{running.url} serves {', '.join(sorted(hub.repositories)) or 'no models'}", flush=True)
        stop.wait()
    return 0


def _repositories(models: list[str]) -> dict[str, Repository]:
    found: dict[str, Repository] = {}
    for given in models:
        repo_id, separator, folder = given.partition("=")
        if separator:
            found |= find_repositories({repo_id: Path(folder)})
        else:
            found |= find_repositories(Path(given))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.hub", description=__doc__)
    parser.add_argument(
        "--models",
        action="append",
        default=[],
        metavar="DIR|ID=DIR",
        help="a folder of models laid out as DIR/org/name, or one model; later ones override earlier ones",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it listens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
