"""`python -m tests.provider.aws [--new-account] [--without RULE]`: says its address, then is an AWS."""

import argparse
import logging
import sys

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.provider.aws.calls import NEW_ACCOUNT, Limits
from tests.provider.aws.gaps import fill_gaps
from tests.provider.aws.hook import refuse_calls
from tests.provider.aws.refusals import RULES


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.provider.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a free one unless given")
    parser.add_argument("--new-account", action="store_true", help="held to what new accounts are held to")
    parser.add_argument("--without", action="append", default=[], choices=sorted(RULES), metavar="RULE")
    given = parser.parse_args(arguments)
    fill_gaps()
    refuse_calls(NEW_ACCOUNT if given.new_account else Limits(), given.without)
    default_user_config["lambda"] = {"use_docker": False}  # functions are recorded, not run
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1", given.port, application, threaded=True, request_handler=MotoRequestHandler
    )
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
