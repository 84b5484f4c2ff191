"""The Hub's refusals, each through the real client, each with its fix."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from local.hub import Hub, Response, rate_limited, server_error
from local.hub import gated as gated_answer
from tests.warmup.support import TINY, Warming
from warmup.worker.hub import HubSource, told_wait_s

EVERYTHING = "/*"


def test_a_model_that_is_not_there_is_named(warming: Warming) -> None:
    error = warming.error({**TINY, "model": "org/none"})
    assert error["kind"] == "not found"
    assert error["message"].startswith(
        f"org/none is not at {warming.url}. Either the name is misspelt or it is private"
    )


def test_a_revision_that_is_not_there_is_named_with_the_page_that_lists_them(warming: Warming) -> None:
    error = warming.error({**TINY, "revision": "v9"})
    assert error["kind"] == "revision not found"
    assert error["message"] == f"org/tiny has no revision 'v9'. See {warming.url}/org/tiny/commits/main"


def test_a_gated_model_without_a_token_says_how_to_set_one(warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny*", gated_answer("org/tiny", status=401), times=1)
    error = warming.error()
    assert error["kind"] == "gated"
    assert f"Ask for access at {warming.url}/org/tiny" in error["message"]
    assert "pulumi config set --secret hfToken" in error["message"]


def test_a_gated_model_with_a_token_asks_for_access_alone(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    warming.hub.fail("/api/models/org/tiny*", "gated", times=1)
    error = warming.error()
    assert error["kind"] == "gated"
    assert "the token is not on its list" in error["message"]


def test_a_refused_token_is_told_from_a_missing_model(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    warming.hub.fail("/api/models/org/tiny*", "unauthorized", times=1)
    error = warming.error()
    assert error["kind"] == "token refused"
    assert "the Hub refused the token" in error["message"]
    assert "hf_bad" not in error["message"]


def test_a_file_that_needs_rights_the_token_has_not_is_told(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_narrow")
    warming.hub.fail("*/resolve/*", "gated", times=20)
    assert warming.error()["kind"] == "gated"


def test_a_rate_limit_is_waited_for_as_told_and_then_tried_again(warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny", rate_limited(0), times=2)
    assert warming.warm()["state"] == "done"
    assert [path for _, path in warming.asked()].count("/api/models/org/tiny") == 3


@pytest.mark.usefixtures("impatient")
def test_a_rate_limit_that_never_ends_is_named_as_one(warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny", rate_limited(0), times=500)
    error = warming.error()
    assert error["kind"] == "rate limited"
    assert "still rate limited after all waits" in error["message"]


def test_a_server_error_that_passes_is_got_over(warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny", server_error(503), times=2)
    assert warming.warm()["state"] == "done"


@pytest.mark.usefixtures("impatient")
def test_a_hub_that_stays_broken_is_unreachable(warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny", server_error(500), times=500)
    error = warming.error()
    assert error["kind"] == "unreachable"
    assert "answers 500" in error["message"]


@pytest.mark.usefixtures("impatient")
def test_a_hub_that_is_not_there_is_unreachable_by_name(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = warming.error()
    assert error["kind"] == "unreachable"
    assert "cannot reach http://127.0.0.1:9" in error["message"]
    assert "egress" in error["message"]


def test_one_models_fault_leaves_the_others_alone(warming: Warming, hub: Hub) -> None:
    state = warming.warm({**TINY, "model": "org/none"}, TINY)
    phases = {key: progress["phase"] for key, progress in state["models"].items()}
    assert phases == {"org/none@main": "failed", "org/tiny@main": "done"}
    assert state["state"] == "failed"
    assert warming.manifest() is not None


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00", 0.0),
        *((nothing, None) for nothing in ("", "²", "-1", "1.5", "soon", "1e3", "٣", "9" * 400, "\xa0")),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_else_nothing(told: str, seconds: float | None) -> None:
    assert told_wait_s({"retry-after": told}) == seconds


def test_a_date_to_come_back_at_is_waited_for() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < (told_wait_s({"retry-after": date}) or 0) <= 3600


@pytest.mark.parametrize("told", ["²", "soon", "99999999999999999999"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_that_makes_no_sense_does_not_end_the_run(
    warming: Warming, monkeypatch: pytest.MonkeyPatch, status: int, told: str
) -> None:
    monkeypatch.setattr("warmup.worker.hub.RATE_LIMIT_SECONDS", 0.01)
    warming.hub.fail("/api/models/org/tiny", Response(status, {"Retry-After": told}), times=2)
    assert warming.warm()["state"] == "done"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_wait_longer_than_the_time_left_ends_the_run_with_what_was_answered(
    warming: Warming, status: int
) -> None:
    warming.hub.fail("/api/models/org/tiny", Response(status, {"Retry-After": "1200"}), times=9)
    error = warming.error()
    assert error["kind"] == ("rate limited" if status == 429 else "unreachable")
    assert "asks to wait 1200 s" in error["message"] and "egress" not in error["message"]
    assert len(warming.asked()) == 1


def test_an_outage_is_sat_out_though_it_lasts_longer_than_a_few_tries(warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny", server_error(503), times=8)
    assert warming.warm()["state"] == "done"


def test_a_wait_is_shown_with_its_reason(warming: Warming) -> None:
    notes: list[str] = []
    source = HubSource(warming.url, None, notes.append)
    warming.hub.fail("/api/models/org/tiny", server_error(502), times=1)
    source.resolve("org/tiny", None, threading.Event())
    assert notes == [f"{warming.url} answers 502: waits 0 s", ""]


def test_the_token_does_not_follow_a_redirection_to_another_host(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str | None] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    target = f"http://127.0.0.1:{server.server_port}/api/models/org/tiny"
    warming.hub.fail("/api/models/org/tiny", Response(302, {"Location": target}), times=1)
    warming.error()
    server.shutdown()
    thread.join()
    server.server_close()
    assert heard == [None]
