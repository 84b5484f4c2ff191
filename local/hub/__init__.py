"""The embedded Hub: the Hub's HTTP API over folders of models, for one machine without a network."""

from .answers import (
    Answer,
    entry_not_found,
    gated,
    rate_limited,
    repository_not_found,
    revision_not_found,
    server_error,
    token_refused,
)
from .faults import FAULTS, Corrupt, Drop, Fault, Slow, Stall, Truncate
from .repositories import Repository, find_repositories
from .server import UNNAMED, Asked, Hub, Running, serve

__all__ = [
    "FAULTS",
    "UNNAMED",
    "Answer",
    "Asked",
    "Corrupt",
    "Drop",
    "Fault",
    "Hub",
    "Repository",
    "Running",
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
