"""A gateway whose functions are replaced while it runs: what changed starts anew, the rest stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from local.program.functions import Function
from local.service.gateway import Gateway
from local.service.instances import InvocationResult
from local.service.lambda_api import ApiError
from tests.local.functions_to_run import declare

WAIT_S = 20


class Copy:
    """An instance that says which it is, and may be held up."""

    def __init__(self, number: int) -> None:
        self.number, self.usable, self.stops = number, True, 0
        self.asked, self.go_on = threading.Event(), threading.Event()

    def invoke(self, payload: bytes, client_context: str | None = None) -> InvocationResult:
        if payload == b'"wait"':
            self.asked.set()
            assert self.go_on.wait(WAIT_S)
        return InvocationResult(str(self.number).encode(), False, "", "id")

    def stop(self) -> None:
        self.stops += 1


class Copies:
    """Starts them, numbered."""

    def __init__(self) -> None:
        self.started: list[Copy] = []

    def start(self, function: Function) -> Copy:
        self.started.append(Copy(len(self.started)))
        return self.started[-1]


ONE, TWO, THREE = (
    declare(name, function_name=f"{name}-1", command=f"{name}.handler") for name in ("one", "two", "three")
)


@pytest.fixture
def copies() -> Copies:
    return Copies()


@pytest.fixture
def gateway(copies: Copies) -> Iterator[Gateway]:
    made = Gateway([ONE, TWO], copies)
    yield made
    made.close()


def asked(gateway: Gateway, *names: str) -> list[int]:
    return [int(gateway.ask(name, b"{}").payload) for name in names]


def test_what_changed_starts_anew_and_the_rest_keeps_its_instances(gateway: Gateway, copies: Copies) -> None:
    assert asked(gateway, "one", "two", "one") == [0, 1, 0]
    gateway.replace([ONE, TWO], {"one"})
    assert copies.started[0].stops == 1 and copies.started[1].stops == 0
    assert asked(gateway, "one", "two") == [2, 1]


def test_what_is_declared_otherwise_starts_anew(gateway: Gateway, copies: Copies) -> None:
    assert asked(gateway, "one", "two") == [0, 1]
    larger = declare("one", function_name="one-1", command="one.handler", memory_mb=4096)
    gateway.replace([larger, TWO], ())
    assert asked(gateway, "one", "two") == [2, 1]
    assert gateway.functions["one-1"].memory_mb == 4096


def test_functions_come_and_go(gateway: Gateway, copies: Copies) -> None:
    assert asked(gateway, "two") == [0]
    gateway.replace([ONE, THREE], ())
    assert asked(gateway, "three") == [1] and copies.started[0].stops == 1
    with pytest.raises(ApiError, match="No endpoint is called 'two'"):
        gateway.ask("two", b"{}")


def test_what_is_being_answered_is_answered_to_its_end_and_its_instance_ends_then(
    gateway: Gateway, copies: Copies
) -> None:
    answers: list[bytes] = []
    waits = threading.Thread(
        target=lambda: answers.append(gateway.ask("one", b'"wait"').payload), daemon=True
    )
    waits.start()
    while not copies.started:
        waits.join(0.01)
    old = copies.started[0]
    assert old.asked.wait(WAIT_S)
    gateway.replace([ONE, TWO], {"one"})
    assert old.stops == 0 and asked(gateway, "one") == [1]
    old.go_on.set()
    waits.join(WAIT_S)
    assert answers == [b"0"] and old.stops == 1 and copies.started[1].stops == 0
