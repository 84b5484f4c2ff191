"""Handlers ask for an API key over HTTP where the endpoint has some, before they read anything else."""

import json

import pytest

from hf_lambda import endpoint
from hf_lambda.api_keys import API_KEYS, digest_of

KEYS = ("k" * 40, "l" * 40)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def handler(asked, monkeypatch):
    monkeypatch.setenv(API_KEYS, ",".join(map(digest_of, KEYS)))

    @endpoint
    def handler(text: str):
        asked.append(text)
        return text

    return handler


def _call(handler, body='{"text": "a"}', **headers):
    event = {
        "version": "2.0",
        "headers": headers,
        "requestContext": {"http": {"method": "POST"}},
        "body": body,
    }
    answer = handler(event)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["authorization", "Authorization"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_each_key_lets_in(handler, key, name, scheme):
    assert _call(handler, **{name: f"{scheme} {key}"}) == (200, "a")


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEYS[0]}",
        KEYS[0],
        f"Bearer {KEYS[0]}x",
        f"Bearer {digest_of(KEYS[0])}",
    ],
)
@pytest.mark.parametrize("body", ['{"text": "a"}', "no JSON"])
def test_whoever_has_none_learns_nothing_and_runs_nothing(handler, asked, given, body):
    status, answer = _call(handler, body, authorization=given)
    assert (status, answer["error"]["type"], asked) == (401, "Unauthorized", [])


def test_a_direct_call_has_lambdas_own_permissions(handler):
    assert handler({"text": "a"}) == {"statusCode": 200, "body": "a"}


def test_without_keys_none_is_asked_for(handler, monkeypatch):
    monkeypatch.setenv(API_KEYS, "")
    assert _call(handler) == (200, "a")
