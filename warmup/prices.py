"""Prices that the program speaks of: list prices of us-east-1 in November 2026, without tiers and discounts.

https://aws.amazon.com/lambda/pricing/; docs/cost.md has them all and what they come to.
"""

from __future__ import annotations

import math

GB_SECOND_USD = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
"""Of a function that runs."""
MILLION_REQUESTS_USD = 0.20
MONTH_S = 730 * 3600
ACCOUNT_INSTANCES = 1000
"""Instances of all functions of an account and region at once, unless AWS set another limit.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


def busy_month_usd(memory_mb: int, instances: int, architecture: str) -> float:
    """What `instances` of a function cost that run without a pause for a month; requests come on top."""
    return memory_mb / 1024 * MONTH_S * GB_SECOND_USD[architecture] * instances


def million_usd(memory_mb: int, milliseconds: float, architecture: str = "x86_64") -> float:
    """What a million requests of `milliseconds` each cost; whole milliseconds are billed."""
    seconds = math.ceil(milliseconds) / 1000
    return memory_mb / 1024 * seconds * GB_SECOND_USD[architecture] * 1_000_000 + MILLION_REQUESTS_USD
