"""`python -m local.service.daemon --port-file F`: the gateway of the local stack, until SIGTERM."""

import argparse
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hf_lambda.atomic import replace_text
from local.hub.address import HubAddress
from local.layout import Folder
from local.playground.on_this_machine import LocalBackend
from local.playground.server import PlaygroundServer
from local.program.functions import Function, Program
from local.releases import keep_alias, read_aliases
from local.service import results
from local.service.emulator import Emulators
from local.service.environment import aws_environment, machine_environment
from local.service.gateway import Gateway
from local.service.http_api import HttpApi
from local.service.instances import Runtime
from local.service.isolation import MODES, NONE

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Write the port to --port-file once requests are answered, and serve."""
    options = _parser().parse_args(arguments)
    folder = Folder(ROOT / ".local", ROOT)
    program = Program.from_json(json.loads(folder.program.read_text()))
    hub = HubAddress(options.hub, options.upstream)
    extra = {each.name: machine_environment(each, hub, os.environ) for each in program.functions}
    gateway = Gateway(
        program.functions,
        _runtime(folder, options, extra),
        aliases=read_aliases(folder),
        alias_moved=functools.partial(keep_alias, folder),
        deliver=functools.partial(results.keep, folder.results),
    )
    api = HttpApi(gateway, port=options.port)

    def know(functions: Sequence[Function]) -> Sequence[Function]:
        for each in functions:
            variables = machine_environment(each, hub, os.environ)
            extra[each.name] = variables | aws_environment(each, options.bucket, api.url)
        return functions

    def declared() -> Sequence[Function]:
        return know(Program.from_json(json.loads(folder.program.read_text())).functions)

    know(program.functions)  # the gateway's own address is known now, and nobody has called yet
    # An origin of its own: what functions answer at their addresses must not be able to read the page.
    page = PlaygroundServer(LocalBackend(gateway, folder, api.url, declared), port=options.page_port)
    threading.Thread(target=page.serve_forever, name="page", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=api.close).start())
    folder.page.touch(mode=0o600)
    folder.page.write_text(page.address)
    replace_text(options.port_file, api.url.rpartition(":")[2])
    api.serve_forever()
    return 0


def _runtime(folder: Folder, options: argparse.Namespace, extra: Mapping[str, Mapping[str, str]]) -> Runtime:
    if options.container:
        from local.docker.engine import find_engine
        from local.service.container import Containers

        containers = Containers(find_engine(), folder.efs, folder.path, binary=folder.emulator, extra=extra)
        containers.adopt_cache()
        return containers
    return Emulators(
        cache=folder.efs,
        state=folder.path,
        isolation=options.isolation,
        binary=folder.emulator,
        root=folder.root,
        extra=extra,
        bucket_url=options.bucket,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.service.daemon", description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="taken if it is free; 0 takes any")
    parser.add_argument("--page-port", type=int, default=0, help="the same, for the page")
    parser.add_argument("--hub", required=True, metavar="URL", help="the embedded Hub")
    parser.add_argument("--upstream", metavar="URL", help="the Hub to download from instead")
    parser.add_argument("--bucket", metavar="URL", help="the S3 of staged models and of inputs")
    parser.add_argument("--isolation", choices=(*MODES, NONE), default=NONE)
    parser.add_argument("--container", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
