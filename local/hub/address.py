"""Where functions find the Hub."""

import json
import urllib.request
from dataclasses import dataclass

_ANSWER_S = 10


@dataclass(frozen=True)
class HubAddress:
    """The embedded Hub, which counts who asks it; and the one to download from, if another was chosen."""

    url: str
    upstream: str | None = None

    @property
    def source(self) -> str:
        """The Hub that models come from."""
        return self.upstream or self.url

    def counted(self, client: str) -> str:
        """The embedded Hub's address for one client, whose requests it counts."""
        return f"{self.url}/as/{client}"

    def requests(self) -> dict[str, int]:
        """How many requests each client has made so far."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/-/requests", timeout=_ANSWER_S) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts
