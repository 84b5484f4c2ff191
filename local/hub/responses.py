"""What a request gets: status, headers and a body in memory or in a file; and the Hub's errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_lambda.records import Json


@dataclass(frozen=True)
class Response:
    """An HTTP answer. A body in a file is the slice [start, start + length) of `source`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    source: Path | None = None
    start: int = 0
    length: int = 0

    @property
    def content_length(self) -> int:
        return self.length if self.source else len(self.body)


def json_response(content: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(content).encode()
    return Response(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, body)


def error(status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the Hub words it: huggingface_hub tells them apart by X-Error-Code, not by status."""
    named = {"X-Error-Code": code} if code else {}
    return json_response({"error": message}, status, {**named, "X-Error-Message": message, **(headers or {})})


def repository_not_found(status: int = 404) -> Response:
    return error(status, "RepoNotFound", "Repository not found")


def revision_not_found(revision: str = "") -> Response:
    return error(404, "RevisionNotFound", f"Invalid rev id: {revision}")


def entry_not_found(commit: str | None = None) -> Response:
    return error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit} if commit else None)


def gated(repo_id: str = "this model", *, status: int = 403) -> Response:
    """403: the token is good but not on the list; 401: no token was given."""
    restricted = f"Access to model {repo_id} is restricted"
    if status == 401:
        message = (
            f"{restricted}. You must have access to it and be authenticated to access it. Please log in."
        )
    else:
        message = f"{restricted} and you are not in the authorized list. Visit its page to ask for access."
    return error(status, "GatedRepo", message)


def token_refused() -> Response:
    return error(401, None, "Invalid credentials in Authorization header")


def rate_limited(retry_after_s: int = 1) -> Response:
    limits = {
        "Retry-After": str(retry_after_s),
        "ratelimit": f'"resolvers";r=0;t={retry_after_s}',
        "ratelimit-policy": '"fixed window";"resolvers";q=3000;w=300',
    }
    return error(429, None, "Too many requests", limits)


def server_error(status: int = 500) -> Response:
    return error(status, None, "Internal Error - We're working hard to fix this as soon as possible!")
