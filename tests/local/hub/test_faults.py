"""Faults that tests ask for, as the real client meets them."""

import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from local.hub import Hub, Slow, Stall, rate_limited, serve
from tests.local.hub.conftest import COMMIT, WEIGHTS

PINNED = "org/pinned"


@pytest.fixture
def download(endpoint: str, cache: Path) -> Callable[[], Path]:
    return lambda: Path(
        hf_hub_download(PINNED, "model.safetensors", revision=COMMIT, endpoint=endpoint, cache_dir=cache)
    )


def test_a_truncated_file_fails_the_clients_check_of_sizes(hub: Hub, download: Callable[[], Path]) -> None:
    hub.fail("*/model.safetensors", "truncate")
    with pytest.raises(OSError, match="Consistency check failed"):
        download()
    assert download().read_bytes() == WEIGHTS


def test_a_corrupted_file_passes_the_client_with_one_byte_changed(
    hub: Hub, download: Callable[[], Path]
) -> None:
    hub.fail("*/model.safetensors", "corrupt")
    received = download().read_bytes()
    assert len(received) == len(WEIGHTS)
    assert sum(a != b for a, b in zip(received, WEIGHTS, strict=True)) == 1


def test_a_dropped_connection_is_resumed_by_range(
    hub: Hub, download: Callable[[], Path], monkeypatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    hub.fail("*/model.safetensors", "drop")
    assert download().read_bytes() == WEIGHTS
    statuses = [asked.status for asked in hub.asked if asked.method == "GET" and "/lfs/" in asked.path]
    assert statuses == [200, 206]


def test_a_stalled_download_goes_on_when_released(hub: Hub, download: Callable[[], Path]) -> None:
    stall = Stall()
    hub.fail("*/model.safetensors", stall)
    received: list[Path] = []
    client = threading.Thread(target=lambda: received.append(download()))
    client.start()
    assert stall.reached.wait(10)
    assert not received
    stall.release.set()
    client.join(10)
    assert received[0].read_bytes() == WEIGHTS


def test_a_slow_body_is_whole(hub: Hub, endpoint: str) -> None:
    hub.fail("*/config.json", Slow(bytes_per_s=200))
    with urllib.request.urlopen(hf_hub_url(PINNED, "config.json", endpoint=endpoint)) as answer:
        assert answer.read() == b'{"model_type": "distilbert"}'


@pytest.mark.parametrize(
    ("fault", "raised", "status"),
    [
        ("gated", GatedRepoError, 403),
        ("unauthorized", HfHubHTTPError, 401),
        ("repository-not-found", RepositoryNotFoundError, 404),
        ("revision-not-found", RevisionNotFoundError, 404),
        ("entry-not-found", RemoteEntryNotFoundError, 404),
        ("rate-limited", HfHubHTTPError, 429),
        ("server-error", HfHubHTTPError, 500),
    ],
)
def test_each_error_is_raised_once_and_then_all_is_well(
    hub: Hub, endpoint: str, fault: str, raised: type[HfHubHTTPError], status: int
) -> None:
    hub.fail(f"/api/models/{PINNED}*", fault)
    with pytest.raises(raised) as refused:
        HfApi(endpoint).model_info(PINNED)
    assert type(refused.value) is raised
    assert refused.value.response.status_code == status
    assert HfApi(endpoint).model_info(PINNED).sha == COMMIT


def test_a_rate_limit_says_how_long_to_wait(hub: Hub, endpoint: str) -> None:
    hub.fail("/api/models/*", rate_limited(retry_after_s=7))
    with pytest.raises(HfHubHTTPError, match="Retry after 7 seconds") as refused:
        HfApi(endpoint).model_info(PINNED)
    assert refused.value.response.headers["Retry-After"] == "7"


def test_a_fault_strikes_as_often_as_asked_and_only_what_it_names(hub: Hub, endpoint: str) -> None:
    hub.fail("*/tree/*", "server-error", times=2)
    assert HfApi(endpoint).model_info(PINNED).sha == COMMIT
    statuses = []
    for _ in range(3):
        try:
            with urllib.request.urlopen(f"{endpoint}/api/models/{PINNED}/tree/main") as answer:
                statuses.append(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                statuses.append(refused.code)
    assert statuses == [500, 500, 200]


def test_an_unknown_fault_names_those_there_are(hub: Hub) -> None:
    with pytest.raises(ValueError, match="fault 'explode' is not known; expected one of corrupt, drop"):
        hub.fail("*", "explode")


def test_the_hub_stops_though_a_download_stalls(models: Path) -> None:
    hub, stall = Hub(models), Stall()
    hub.fail("*", stall)
    with serve(hub) as running:
        url = hf_hub_url(PINNED, "model.safetensors", endpoint=running.url)
        client = threading.Thread(target=lambda: _read_quietly(url))
        client.start()
        assert stall.reached.wait(10)
    client.join(10)
    assert not client.is_alive()


def _read_quietly(url: str) -> None:
    try:
        with urllib.request.urlopen(url) as answer:
            answer.read()
    except OSError:
        pass
    except Exception as broken:  # noqa: BLE001  (http.client.IncompleteRead, depending on when the Hub stops)
        assert "IncompleteRead" in repr(broken)
