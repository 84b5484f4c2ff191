"""The embedded Hub: the Hub's HTTP API over folders of models, for one machine without a network."""

from .faults import FAULTS, Corrupt, Drop, Fault, Slow, Stall, Truncate
from .repositories import Repository, find_repositories
from .responses import (
    Response,
    entry_not_found,
    gated,
    rate_limited,
    repository_not_found,
    revision_not_found,
    server_error,
    token_refused,
)
from .server import UNNAMED, Asked, Hub, RunningHub, serve

__all__ = [
    "FAULTS",
    "UNNAMED",
    "Asked",
    "Corrupt",
    "Drop",
    "Fault",
    "Hub",
    "Repository",
    "Response",
    "RunningHub",
    "Slow",
    "Stall",
    "Truncate",
    "entry_not_found",
    "find_repositories",
    "gated",
    "rate_limited",
    "repository_not_found",
    "revision_not_found",
    "serve",
    "server_error",
    "token_refused",
]
