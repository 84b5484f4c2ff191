"""What can go wrong while an endpoint answers; each class knows the status its caller gets."""

from __future__ import annotations

from collections.abc import Iterable

from .records import Json


class ServingError(Exception):
    """An answer other than 200. The message is for the caller: it never holds a traceback or a path."""

    status = 500

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status

    def body(self) -> dict[str, Json]:
        """`{"error": {"type", "message", ...}}`, the body that the caller receives."""
        return {"error": {"type": type(self).__name__, **self._details(), "message": self.message}}

    def _details(self) -> dict[str, Json]:
        return {}


class BadRequest(ServingError):  # noqa: N818 - error names are public API: Lambda reports them as errorType
    """400: the event does not fit the handler. `field` is None where the event as a whole is wrong."""

    status = 400

    def __init__(self, field: str | None, expected: str, given: str, message: str | None = None) -> None:
        field, given = field and shortened(field), shortened(given)
        where = f"`{field}`: " if field else ""
        super().__init__(message or f"{where}expected {expected}, given {given}")
        self.field, self.expected, self.given = field, expected, given

    def _details(self) -> dict[str, Json]:
        return {"field": self.field, "expected": self.expected, "given": self.given}


class Unauthorized(ServingError):  # noqa: N818
    """401: no API key, or one that is not known."""

    status = 401


class NotFound(ServingError):  # noqa: N818
    """404: a path or a model that is not served here."""

    status = 404

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def _details(self) -> dict[str, Json]:
        return {"field": self.field}


def shortened(text: str, most: int = 100) -> str:
    """What a caller sent, as far as a message has room for it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


class TooLarge(ServingError):  # noqa: N818
    """413: the answer does not fit into what Lambda can return (6 MB)."""

    status = 413


class Unprocessable(ServingError):  # noqa: N818
    """422: well formed, but the model cannot take it (longer than its maximum, no mask token, ...)."""

    status = 422

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field

    def _details(self) -> dict[str, Json]:
        return {"field": self.field}


def no_entailment(labels: Iterable[str]) -> UntrainedHead | None:
    """Why a model with these labels cannot classify zero-shot; None: it can."""
    names = list(labels)
    if any(label.lower().startswith("entail") for label in names):
        return None
    return UntrainedHead(
        f'none of the labels ({", ".join(names[:5])}) begins with "entail": zero-shot-classification needs '
        "a model that was trained on natural language inference, for instance facebook/bart-large-mnli"
    )


def cannot_cut(error: Exception) -> Unprocessable | None:
    """A tokenizer's error over a pair that it cannot cut as told, for the caller; None: another error."""
    if "Truncation error" not in str(error):
        return None
    return Unprocessable(None, f"the text cannot be cut as `truncation` says: {error}")


class ColdCache(ServingError):  # noqa: N818
    """503: the model is not in the cache yet; the message has the command that warms it."""

    status = 503


class DamagedCache(ServingError):  # noqa: N818
    """503: what lies in the cache is not what was published; the message has the command that repairs it."""

    status = 503


class LoadFailed(Exception):  # noqa: N818 - what happened; it reaches no caller
    """A file of a model could not be loaded: it may be damaged."""


class UntrainedHead(ServingError):  # noqa: N818
    """503: the repository has no weights for what the task needs; transformers would make some up."""

    status = 503


class WrongTokenizer(ServingError):  # noqa: N818
    """503: the repository has no tokenizer, or one whose vocabulary cannot be the model's."""

    status = 503


class EngineUnavailable(ServingError):  # noqa: N818
    """503: the cache is warm, but not for the engine that the script asks for."""

    status = 503


def openai_error(body: dict[str, Json], status: int) -> dict[str, Json]:
    """`body`, which is {"error": {"type", "message", ...}}, in the shape that OpenAI's clients read."""
    error = body["error"]
    kinds = {401: "authentication_error", 404: "not_found_error"}
    kind = kinds.get(status, "invalid_request_error" if 400 <= status < 500 else "server_error")
    code = "invalid_api_key" if status == 401 else None
    if status == 404 and error.get("field") == "model":
        code = "model_not_found"
    message = f"{error['message']}: {error['id']}" if "id" in error else error["message"]
    return {"error": {"message": message, "type": kind, "param": error.get("field"), "code": code}}
