"""What a generation is asked for: transformers' options over the model's own, and those of chat APIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import BadRequest, Unprocessable
from ...records import Json
from ..generation.asked import resolve_asked
from ..generation.options import Options

DEFAULTS = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
"""transformers' own for this task, where neither the model nor the request says."""
OWN = ("stop", "frequency_penalty", "presence_penalty")
"""Options of chat APIs that transformers does not have."""
_LENGTHS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One prompt's generation. Lengths of `options` count the prompt."""

    options: Options
    stop: tuple[str, ...] = ()
    """Texts that end the generation; they are not part of it."""
    endings: tuple[str, ...] = ()
    """Texts that end it and are part of it, as transformers' `stop_sequence`."""
    frequency_penalty: float = 0.0
    """Taken from a token's score for each time that it was generated."""
    presence_penalty: float = 0.0
    """Taken from the score of every token that was generated at all."""


def generation_of(
    shipped: Mapping[str, Json],
    asked: Mapping[str, Json],
    prompt: int,
    *,
    context: int,
    vocabulary: int,
) -> Generation:
    """Options of a prompt of `prompt` tokens in a model that holds `context`.

    Raises BadRequest for a value, Unprocessable for lengths that the context does not hold.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    stop, endings = given.pop("stop", ()), given.pop("stop_sequence", ())
    penalties = {name: float(given.pop(name, 0.0)) for name in OWN[1:]}
    known = {name: value for name, value in shipped.items() if value is not None}
    longest, shortest = _lengths(known, given, prompt, context)
    merged = {**known, **given}
    defaults = {name: value for name, value in DEFAULTS.items() if name not in merged}
    rest = {name: value for name, value in (defaults | known).items() if name not in _LENGTHS}
    request = {name: value for name, value in given.items() if name not in _LENGTHS}
    request |= {"max_new_tokens": longest, "min_new_tokens": shortest, "decoder_start_token_id": 0}
    options = resolve_asked(rest, request, vocabulary=vocabulary, searches="greedy search or sampling")
    if options.num_beams > 1:
        raise BadRequest(
            "num_beams", "1: language models are not searched with beams", str(options.num_beams)
        )
    # `resolve` counts one start token, as encoder-decoders have; here the whole prompt comes before.
    decay = options.exponential_decay_length_penalty
    return Generation(
        options=replace(
            options,
            max_length=options.max_length - 1 + prompt,
            min_length=options.min_length - 1 + prompt,
            exponential_decay_length_penalty=decay and (decay[0] + prompt - 1, decay[1]),
        ),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        endings=(endings,) if isinstance(endings, str) else tuple(endings),
        **penalties,
    )


def _lengths(
    shipped: Mapping[str, Json], asked: Mapping[str, Json], prompt: int, context: int
) -> tuple[int, int]:
    """Most and least new tokens."""
    room = context - prompt
    if room < 1:
        raise Unprocessable(
            None, f"the prompt has {prompt} tokens, this endpoint holds {context} with the answer: shorten it"
        )
    source: Mapping[str, Json] = asked if "max_new_tokens" in asked or "max_length" in asked else shipped
    if "max_new_tokens" in source:
        longest = source["max_new_tokens"]
    elif "max_length" in source:
        longest = source["max_length"] - prompt
        if longest < 1 and source is asked:
            raise Unprocessable(
                "max_length", f"the prompt has {prompt} tokens, which `max_length` counts too: ask for more"
            )
    else:
        longest = DEFAULTS["max_new_tokens"]
    if longest > room and source is asked:
        text = f"the prompt has {prompt} tokens, this endpoint holds {context} with the answer"
        name = "max_new_tokens" if "max_new_tokens" in asked else "max_length"
        raise Unprocessable(name, f"{text}: shorten it, or ask for at most {room} new tokens")
    longest = max(1, min(longest, room))
    merged = {**shipped, **asked}
    shortest = merged.get("min_new_tokens")
    if shortest is None:
        shortest = max(0, merged.get("min_length", 0) - prompt)
    return longest, min(shortest, longest)
