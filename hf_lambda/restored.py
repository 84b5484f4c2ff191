"""After a restore from a snapshot (`snapStart`): what must not be the same in every instance is made anew."""

from __future__ import annotations

import os
import sys

SNAP_START = "snap-start"
"""AWS_LAMBDA_INITIALIZATION_TYPE of a function that is frozen into a snapshot once it is initialised."""


def reseed_after_restore() -> None:
    """Have random state seeded anew in every instance, before hooks of the script run.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
    """
    from snapshot_restore_py import register_after_restore  # of awslambdaric; seldom needed

    register_after_restore(reseed)


def reseed() -> None:
    """Seed every generator of this process that many instances would otherwise share a state of.

    What nobody has imported has none. The kernel's own randomness, which `os.urandom`, `secrets` and
    generators without a seed take theirs from, is not a state of this process.
    """
    if (random := sys.modules.get("random")) is not None:
        random.seed()
    if (numpy := sys.modules.get("numpy.random")) is not None:
        numpy.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.seed()
    if (ssl := sys.modules.get("ssl")) is not None:
        fresh = os.urandom(64)
        ssl.RAND_add(fresh, len(fresh))
