"""OpenAI's /v1/embeddings over a pipeline of feature-extraction."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping

from .errors import BadRequest
from .inputs import Single
from .pipeline import Pipeline
from .records import Json

_KNOWN = {"model", "input", "encoding_format", "dimensions", "user"}


def embeddings(
    served: Pipeline, body: dict[str, Json], how: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """The answer to a request. how: the pipeline's parameters; None: what OpenAI's clients expect.

    Raises ServingError.
    """
    texts = texts_of(body.get("input"), "input")
    if unknown := sorted(set(body) - _KNOWN):
        raise BadRequest(unknown[0], f"one of {', '.join(sorted(_KNOWN))}", "an unknown field")
    form = body.get("encoding_format")
    form = "float" if form is None else form
    if form not in ("float", "base64"):
        raise BadRequest("encoding_format", "float or base64", repr(form))
    chosen = _chosen(served.defaults) if how is None else how
    vectors = [cut(vector, body.get("dimensions")) for vector in served(texts, **chosen)]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": vector if form == "float" else _base64(vector),
        }
        for index, vector in enumerate(vectors)
    ]
    tokens = served.count_tokens(texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": served.model, "usage": usage}


def _chosen(declared: Mapping[str, Json]) -> dict[str, Json]:
    # A pooling of the script's own says nothing of the length, which OpenAI's clients expect to be 1.
    chosen: dict[str, Json] = {"normalize": True} if "pooling" in declared else {"pooling": "auto"}
    return {name: value for name, value in chosen.items() if name not in declared}


def texts_of(given: Json, field: str) -> list[str]:
    """One text or an array of them. Raises BadRequest."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest(field, "a text or an array of texts", "another value (tokens are not taken)")
    return texts


def cut(vector: Json, dimensions: Json, *, normalize: bool = True) -> list[float]:
    """The first `dimensions` of a vector, made one of length 1 again (None: all of it, as it is)."""
    if isinstance(vector, Single):
        vector = vector[0]
    if dimensions is None:
        return list(vector)
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or not 0 < dimensions <= len(vector):
        raise BadRequest("dimensions", f"a whole number from 1 to {len(vector)}", repr(dimensions))
    kept: list[float] = vector[:dimensions]
    length = sum(value * value for value in kept) ** 0.5 or 1.0
    return [value / length for value in kept] if normalize else kept


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
