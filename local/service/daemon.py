"""`python -m local.service.daemon --port-file F`: the gateway of the local stack, until SIGTERM."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from local.layout import Folder
from local.program.functions import Program
from local.service.emulator import Emulators
from local.service.gateway import Gateway
from local.service.http_api import HttpApi
from local.service.instances import Runtime
from local.service.isolation import MODES, NONE

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Write the port to --port-file once requests are answered, and serve."""
    options = _parser().parse_args(arguments)
    folder = Folder(ROOT / ".local", ROOT)
    surroundings = json.loads(folder.surroundings.read_text())
    program = Program.load(folder.program)
    api = HttpApi(Gateway(program.functions, _runtime(folder, options, surroundings)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=api.close).start())
    partial = options.port_file.with_suffix(".partial")
    partial.write_text(api.url.rpartition(":")[2])
    partial.rename(options.port_file)
    api.serve_forever()
    return 0


def _runtime(
    folder: Folder, options: argparse.Namespace, surroundings: Mapping[str, Mapping[str, str]]
) -> Runtime:
    if options.container:
        from local.docker.engine import find_engine
        from local.service.container import Containers

        containers = Containers(
            find_engine(), folder.efs, folder.path, binary=folder.emulator, extra=surroundings
        )
        containers.adopt_cache()
        return containers
    return Emulators(
        cache=folder.efs,
        state=folder.path,
        isolation=options.isolation,
        binary=folder.emulator,
        root=folder.root,
        extra=surroundings,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.service.daemon", description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--isolation", choices=(*MODES, NONE), default=NONE)
    parser.add_argument("--container", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
