"""Where functions find the Hub, and what else of this machine's surroundings they get."""

import json
import os
import urllib.request
from dataclasses import dataclass

from local.program.functions import Function

OF_THE_MACHINE = (
    "HF_TOKEN",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)
"""What the way to a real Hub may need; only functions that download get it."""
ANSWER_S = 10


@dataclass(frozen=True)
class Hub:
    """The embedded Hub, which counts who asks it; and the one to download from, if another was chosen."""

    url: str
    upstream: str | None = None

    def counted(self, client: str) -> str:
        """The embedded Hub's address for one client, whose requests it counts."""
        return f"{self.url}/as/{client}"

    def requests(self) -> dict[str, int]:
        """How many requests each client has made so far."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/-/requests", timeout=ANSWER_S) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


def surroundings(function: Function, hub: Hub) -> dict[str, str]:
    """Environment of `function` on top of what the program says."""
    downloads = function.is_warmup or function.environment.get("COLD_DOWNLOAD") == "1"
    upstream = hub.upstream if downloads else None
    given = {"HF_ENDPOINT": upstream or hub.counted(function.name), "WARM_COMMAND": "make warm"}
    if upstream:
        given |= {key: os.environ[key] for key in OF_THE_MACHINE if key in os.environ}
    return given
