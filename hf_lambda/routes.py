"""Which of a handler's paths an HTTP event is for."""

from __future__ import annotations

from collections.abc import Collection

from .errors import ServingError
from .records import Json


class NotFound(ServingError):  # noqa: N818 - as the other errors
    """404: a path or a model that is not served here."""

    status = 404

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def _details(self) -> dict[str, Json]:
        return {"field": self.field}


def method_and_path(event: Json) -> tuple[str, str]:
    """Of an HTTP event, as the client wrote them but for what is quoted and a slash at the end."""
    context = event["requestContext"]
    described = context.get("http")
    named = described.get("method") if isinstance(described, dict) else None
    method = named or event.get("httpMethod") or "GET"
    path = str(event.get("rawPath") or event.get("path") or "/")
    if "%" in path:
        from urllib.parse import unquote  # clients quote the slash of a model's id

        path = unquote(path)
    return str(method).upper(), path.rstrip("/") or "/"


def without_stage(path: str, known: Collection[str]) -> str:
    """`path` as the one of `known` that it ends with: a gateway's stage may come before it."""
    return max((each for each in known if each != "/" and path.endswith(each)), key=len, default=path)


def check_model(given: Json, served: str) -> None:
    """Raises NotFound where a request names another model than the one that is `served`."""
    if given is not None and given != served:
        raise NotFound(f"the model {given!r} is not served here; this endpoint has {served!r}", "model")
