"""The generation options of one call, over those that its model ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...errors import BadRequest, Unprocessable
from ...parameters import NEW_TOKENS, generation_options
from ...records import Json
from .options import InvalidOptionError, Options, UnsupportedOptionError, resolve


def asked_options(
    parameters: Mapping[str, Json],
    shipped: Mapping[str, Json],
    *,
    max_position: int | None,
    vocabulary: int,
    forced_bos: int | None = None,
    prompt: Sequence[int] = (),
) -> Options:
    """What `generate` of transformers makes of `parameters` over `shipped`.

    forced_bos: the first token, where a language has one; prompt: what every text starts with, the start
    token among it.
    Raises BadRequest, and Unprocessable for a prompt that leaves no room.
    """
    request = generation_options(parameters)
    shipped = dict(shipped)
    if request.get("max_length") is not None and request.get("max_new_tokens") is None:
        shipped.pop("max_new_tokens", None)  # else the model's own would win over the caller's max_length
    elif all((shipped | request).get(name) is None for name in ("max_length", "max_new_tokens")):
        request["max_new_tokens"] = min(NEW_TOKENS, max_position or NEW_TOKENS)
    if forced_bos is not None:
        request["forced_bos_token_id"] = forced_bos
    options = resolve_asked(shipped, request, max_position=max_position, vocabulary=vocabulary)
    return _after(options, prompt, {**shipped, **request}, max_position) if prompt else options


def resolve_asked(
    shipped: Mapping[str, Json],
    request: Mapping[str, Json],
    *,
    max_position: int | None = None,
    vocabulary: int | None = None,
    searches: str = "greedy, beam search or sampling",
) -> Options:
    """`resolve` of what a caller asks for, who is told what is wrong with it. Raises BadRequest."""
    try:
        return resolve(shipped, request, max_position=max_position, vocabulary=vocabulary)
    except InvalidOptionError as error:
        raise BadRequest(error.name, error.expected, repr(error.value)) from error
    except UnsupportedOptionError as error:
        raise BadRequest(error.name, f"an option of {searches}", repr(error.value)) from error


def _after(
    options: Options, prompt: Sequence[int], merged: Mapping[str, Json], max_position: int | None
) -> Options:
    """`options` of a text that starts with `prompt`: it counts in lengths, and not in new tokens."""
    more = len(prompt) - 1  # the start token is counted already
    longest = options.max_length + more * (merged.get("max_new_tokens") is not None)
    shortest = options.min_length + more * (merged.get("min_new_tokens") is not None)
    if max_position is not None:
        longest = min(longest, max_position + 1)
    if longest <= len(prompt):
        raise Unprocessable(
            "prompt", f"the prompt has {len(prompt)} tokens, of {longest} that the text may have: shorten it"
        )
    return replace(options, prompt=tuple(prompt), max_length=longest, min_length=shortest)
