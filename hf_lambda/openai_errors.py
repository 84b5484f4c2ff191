"""Errors in the shape that OpenAI's clients read."""

from __future__ import annotations

from .records import Json


def openai_error(body: dict[str, Json], status: int) -> dict[str, Json]:
    """`body` is {"error": {"type", "message", ...}}."""
    error = body["error"]
    kinds = {401: "authentication_error", 404: "not_found_error"}
    kind = kinds.get(status, "invalid_request_error" if 400 <= status < 500 else "server_error")
    code = "invalid_api_key" if status == 401 else None
    if status == 404 and error.get("field") == "model":
        code = "model_not_found"
    message = f"{error['message']}: {error['id']}" if "id" in error else error["message"]
    return {"error": {"message": message, "type": kind, "param": error.get("field"), "code": code}}
