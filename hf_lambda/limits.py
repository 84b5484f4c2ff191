"""What one request may multiply: refused before any work starts, whatever engine would do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Unprocessable

MOST: Mapping[str, int] = {
    "num_beams": 64,
    "num_beam_groups": 64,
    "num_return_sequences": 64,
    "max_new_tokens": 32768,
    "min_new_tokens": 32768,
    "max_length": 32768,
    "min_length": 32768,
}
"""Of generation: no answer that Lambda could return in its 15 minutes and 6 MB needs more."""
MOST_TEXTS = 1024
"""Generated for one request, of all its inputs together."""
MOST_STOPS = 64
"""Texts that end a generation: each is looked for after every token."""


def check_generation(inputs: int, parameters: Mapping[str, Any]) -> None:
    """Raises Unprocessable for `parameters` of generating from `inputs` texts that no endpoint can do."""
    for name, most in MOST.items():
        given = parameters.get(name)
        if given is not None and given > most:
            raise Unprocessable(
                name, f"`{name}`: {given} is more than {most}, the most that a request may ask for"
            )
    count = parameters.get("num_return_sequences") or 1
    if count > 1 and inputs * count > MOST_TEXTS:
        raise Unprocessable(
            "num_return_sequences",
            f"{inputs} inputs with {count} answers each are {inputs * count} texts, a request may ask for "
            f"{MOST_TEXTS}: send fewer inputs, or ask for fewer answers",
        )
    stops = parameters.get("stop")
    if isinstance(stops, list) and len(stops) > MOST_STOPS:
        raise Unprocessable("stop", f"`stop`: {len(stops)} texts are more than {MOST_STOPS}, the most")
