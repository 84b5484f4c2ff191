"""`keepWarm`: a ping is answered before the handler, once the models are loaded."""

import threading

import pytest

from hf_lambda.background import Future
from hf_lambda.ping import PING, answering_pings


def handler_of(seen):
    def handler(event, context):
        seen.append(event)
        return "answer"

    return answering_pings(lambda name: handler)("chat.handler")


def test_a_ping_never_reaches_the_handler_and_everything_else_does():
    seen: list[object] = []
    handler = handler_of(seen)
    assert handler(dict(PING), None) == {"statusCode": 204, "body": ""}
    assert seen == []
    others = [{**PING, "text": "x"}, {"hf-lambda": "other"}, {}, None, [PING], "keep-warm"]
    assert [handler(event, None) for event in others] == ["answer"] * len(others)
    assert seen == others


def test_a_ping_waits_for_what_loads_and_leaves_its_error_to_the_first_request():
    pinged, order = threading.Event(), []

    def load():
        pinged.wait(20)
        order.append("loaded")
        raise ValueError("no model")

    def ping():
        pinged.set()
        handler_of([])(dict(PING), None)
        order.append("answered")

    model = Future(load).start()
    ping()
    assert order == ["loaded", "answered"]
    with pytest.raises(ValueError, match="no model"):
        model.result()
