"""Who may read what: tokens, private and gated repositories."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .responses import Response, gated, repository_not_found, token_refused


class _Request(Protocol):
    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Access:
    """Tokens with the repositories that each may read; without any, every token is good for public ones."""

    private: Collection[str] = ()
    gated: Collection[str] = ()
    tokens: Mapping[str, Collection[str]] = field(default_factory=dict)
    repositories: Collection[str] = ()

    def refusal(self, request: _Request, repo: str | None) -> Response | None:
        """The Hub's refusal, or None. Without access, a private repository looks like a missing one."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if token and self.tokens and token not in self.tokens:
            return token_refused()
        if repo is None:
            return None if token else token_refused()
        allowed = repo in self.tokens.get(token, ())
        hidden = repo not in self.repositories or (repo in self.private and not allowed)
        if hidden:
            return repository_not_found(404 if token else 401)
        # Of a gated repository anyone may read the description; the files are what is gated.
        if repo in self.gated and not allowed and "/resolve/" in request.path:
            return gated(repo, status=403 if token else 401)
        return None
