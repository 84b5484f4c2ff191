"""How many threads inference uses: the vCPUs that Lambda gives a function of this memory size."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

MB_PER_VCPU = 1769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""


def thread_count(environ: Mapping[str, str] = os.environ) -> int:
    """At least 1, at most what this process may run on and what OMP_NUM_THREADS says, as for OpenMP itself.

    Outside Lambda: all of these.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted, memory_mb = (
        environ.get(name, "") for name in ("OMP_NUM_THREADS", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    )
    if wanted.isdecimal():
        available = min(available, int(wanted))
    if memory_mb.isdecimal():
        available = min(available, math.ceil(int(memory_mb) / MB_PER_VCPU))
    return max(1, available)
