"""The Hub's refusals, each through the real client, each with its fix."""

import pytest

from local.hub import Hub, rate_limited, server_error
from local.hub import gated as gated_answer
from tests.warmup.support import TINY, Warming

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
