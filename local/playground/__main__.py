"""python -m local.playground --stack dev: the page of a stack in AWS, on loopback, until Ctrl-C.

Requests are sent with your own credentials, as the stack's `aws:` config or the environment names them. They
stay in this process. The page of the local stack is served by `make up`.
"""

import argparse
import sys
from pathlib import Path

from local.playground.on_aws import AwsBackend
from local.playground.server import PlaygroundServer
from warmup.cli.stack import StackClient, access_to, read_outputs
from warmup.protocol.errors import WarmupError
from warmup.protocol.outputs import LOCAL

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 it was stopped, 1 the stack cannot be asked (why, on stderr), 2 usage."""
    options = _parser().parse_args(arguments)
    if options.stack == LOCAL and options.outputs is None:
        print("the local stack's page is served by `make up`, which prints its address", file=sys.stderr)
        return 2
    try:
        outputs = read_outputs(ROOT, options.stack, options.outputs)
        client = StackClient(outputs, access_to(ROOT, outputs, options.outputs))
    except WarmupError as error:
        print(error, file=sys.stderr)
        return 1
    server = PlaygroundServer(AwsBackend(client, ROOT), port=options.port)
    print(f"page: {server.address}", "stop: Ctrl-C", sep="\n", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.playground", description=__doc__)
    parser.add_argument("--stack", metavar="NAME", required=True)
    parser.add_argument(
        "--outputs", type=Path, metavar="FILE", help="what `pulumi stack output --json` printed"
    )
    parser.add_argument("--port", type=int, default=0, help="taken if it is free; 0 takes any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
