"""`keepWarm`: an event that keeps an instance warm, answered before any handler sees it."""

from __future__ import annotations

from collections.abc import Callable

from .background import wait_for_all
from .endpoint import LambdaHandler
from .records import Json

PING = {"hf-lambda": "keep-warm"}
"""The whole event."""


def answering_pings(get_handler: Callable[[str], LambdaHandler]) -> Callable[[str], LambdaHandler]:
    """awslambdaric's `_get_handler`, whose handlers then answer pings by themselves, without inference."""

    def get(name: str) -> LambdaHandler:
        handler = get_handler(name)

        def answer(event: Json, context: object) -> Json:
            if event != PING:
                return handler(event, context)
            # Once a ping is answered the instance is frozen, and a model that loads meanwhile with it.
            wait_for_all()
            return {"statusCode": 204, "body": ""}

        return answer

    return get
