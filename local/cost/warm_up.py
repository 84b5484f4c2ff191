"""What it takes to warm one model once: the functions, the network, the bucket and the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from warmup import prices
from warmup.prices import Price

SMALL_FILES = 4
PART_BYTES = 64 << 20
"""As warmup/worker/bucket.py uploads."""
RELAY_S, WARM_UP_S = 120, 180
"""Assumed, on the long side, for a model of a gigabyte: nothing was measured on Lambda."""
HEARTBEAT_S, POLL_S = 2, 1
"""How often a relay writes how far it is, and how often a warm-up looks for it."""
FREE_STORAGE_MB = 512


@dataclass(frozen=True)
class Item:
    """`formula` says how `usd` came about with the prices that are named in `used`."""

    what: str
    quantity: float
    unit: str
    usd: float
    formula: str
    used: Sequence[tuple[str, Price]]


@dataclass(frozen=True)
class S3Requests:
    writes: int
    """PUT, POST and LIST, which have one price."""
    reads: int


def requests_of_relay(weight_bytes: int, relay_s: int = RELAY_S) -> S3Requests:
    """At most, of a model with one file of weights: the relay's, and its warm-up's, which waits for it."""
    parts = math.ceil(weight_bytes / PART_BYTES)
    of_weights = 1 if weight_bytes < PART_BYTES else parts + 2
    files = SMALL_FILES + 1
    tree_and_ref = 2
    looks = relay_s // POLL_S
    listed_and_deleted = 2
    writes = of_weights + SMALL_FILES + tree_and_ref + relay_s // HEARTBEAT_S + looks + listed_and_deleted
    return S3Requests(writes, tree_and_ref + 2 * files + looks * (files + 1))


def relay_items(
    weight_bytes: int, memory_mb: int, storage_mb: int, architecture: str, relay_s: int = RELAY_S
) -> tuple[Item, ...]:
    """Of the relay and its bucket."""
    second, disk = prices.DURATION[architecture], prices.EPHEMERAL_STORAGE
    requests, stored_gb = requests_of_relay(weight_bytes, relay_s), weight_bytes / 10**9
    extra_gb = max(0, storage_mb - FREE_STORAGE_MB) / 1024
    write, read, day = (
        prices.S3_WRITE.usd,
        prices.S3_READ.usd,
        prices.S3_STORAGE.usd * 24 / prices.MONTH_HOURS,
    )
    return (
        _function("relay", memory_mb, relay_s, architecture, second),
        Item(
            "its /tmp",
            extra_gb,
            "GB",
            extra_gb * relay_s * disk.usd,
            f"({storage_mb:,} - {FREE_STORAGE_MB}) MB / 1024 x {relay_s} s x ${disk.usd:.10f}",
            [("/tmp of functions", disk)],
        ),
        Item(
            "S3, requests",
            requests.writes + requests.reads,
            "",
            (requests.writes * write + requests.reads * read) / 1000,
            f"at most {requests.writes} x ${write:.3f} / 1,000 and {requests.reads} x ${read:.4f} / 1,000",
            [("S3, writes and lists", prices.S3_WRITE), ("S3, reads", prices.S3_READ)],
        ),
        Item(
            "S3, stored",
            stored_gb,
            "GB",
            stored_gb * day,
            f"at most a day: {stored_gb:g} GB x ${prices.S3_STORAGE.usd:.3f} x 24 h / {prices.MONTH_HOURS} h",
            [("S3, stored", prices.S3_STORAGE)],
        ),
    )


def nat_item(weight_bytes: int) -> Item:
    usd, gigabytes = prices.NAT_DATA.usd, weight_bytes / 10**9
    used = [("NAT gateway, data", prices.NAT_DATA)]
    return Item("NAT gateway, data", gigabytes, "GB", gigabytes * usd, f"{gigabytes:g} GB x ${usd}", used)


def warm_up_items(weight_bytes: int, memory_mb: int, architecture: str) -> tuple[Item, ...]:
    """Whatever the way from the Hub is."""
    usd, gigabytes = prices.EFS_WRITE.usd, weight_bytes / 10**9
    return (
        _function("warm-up", memory_mb, WARM_UP_S, architecture, prices.DURATION[architecture]),
        Item(
            "EFS, written",
            gigabytes,
            "GB",
            gigabytes * usd,
            f"{gigabytes:g} GB x ${usd:.2f}; what is prepared comes on top",
            [("EFS, written", prices.EFS_WRITE)],
        ),
    )


def _function(what: str, memory_mb: int, seconds: int, architecture: str, price: Price) -> Item:
    return Item(
        what,
        seconds,
        "s",
        memory_mb / 1024 * seconds * price.usd,
        f"{memory_mb} MB / 1024 x {seconds} s x ${price.usd:.10f}; the time is an assumption",
        [(f"duration, {architecture}", price)],
    )
