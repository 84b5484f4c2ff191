"""What one request may take: more is refused before any work starts, or done in parts, by every engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from .errors import BadRequest, Unprocessable
from .records import Json

if TYPE_CHECKING:
    from .engines import Input

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


def check_generation(inputs: int, parameters: Mapping[str, Json]) -> None:
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


MOST_ITEMS_AT_ONCE = 256
MOST_CHARACTERS_AT_ONCE = 1 << 18
"""Of the inputs that are tokens at the same time: each takes about 200 bytes until the model has read it."""
MOST_HYPOTHESES = 10_000
"""Texts times labels of one request."""
MOST_DOCUMENTS = 1000
"""Of one request of text-ranking: each is read together with the query."""
MOST_WINDOWS_OVER_A_TOKEN = 8
"""Tokens read for each one of a long text; with more overlap the work grows and no answer does."""
_OVERLAP = 4
"""Of the window's tokens one in so many is read twice, where the request does not say: enough for the
context of an entity at the edge."""
_DEFAULT_MEMORY_MB = 3008
_BYTES_A_CHARACTER = 256
"""What a text takes as tokens, one for each character at worst."""
_BYTES_A_NUMBER = 40
"""A Python float in a list."""
_SHARE = 0.25
"""Of the function's memory that one such thing may take; the model takes the most of it."""
_ATTENTION = 1.5
"""Times that share is what attention may take, which holds its scores about once."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def chunks(items: Sequence[Item], size: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """`items` in their order, in stretches of bounded number and size; a large one is alone."""
    start = held = 0
    for position, item in enumerate(items):
        own = size(item)
        is_full = position - start >= MOST_ITEMS_AT_ONCE or held + own > MOST_CHARACTERS_AT_ONCE
        if position > start and is_full:
            yield items[start:position]
            start, held = position, 0
        held += own
    if start < len(items):
        yield items[start:]


def batches(lengths: Sequence[int], max_tokens: int, max_padding: int | None = None) -> list[list[int]]:
    """Indices of `lengths`, longest first, in groups whose rows x longest is at most `max_tokens`.

    An input that is longer than the bound makes a batch of its own.
    max_padding: tokens that a row may be filled up with; None: any number.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[groups[-1][0]] if groups else 0
        is_like = max_padding is None or longest - lengths[index] <= max_padding
        if groups and is_like and longest * (len(groups[-1]) + 1) <= max_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def run_batches(
    items: Sequence[Item],
    lengths: Sequence[int],
    run: Callable[[list[Item]], Sequence[Result]],
    max_tokens: int,
) -> list[Result]:
    """`run` over groups of `items`; the results in the order of `items`."""
    results: dict[int, Result] = {}
    for group in batches(lengths, max_tokens):
        results |= zip(group, run([items[index] for index in group]), strict=True)
    return [results[index] for index in range(len(items))]


def characters(item: Input) -> int:
    """Of all texts in an input."""
    if isinstance(item, str):
        return len(item)
    if isinstance(item, Mapping):
        return sum(map(characters, item.values()))
    if isinstance(item, list | tuple):
        return sum(map(characters, item))
    return 0


def check_text(item: Input) -> None:
    """Raises Unprocessable for a text that takes more of the function's memory than there is as tokens."""
    given, most = characters(item), _most_characters()
    if given > most:
        raise Unprocessable(
            None,
            f"the text has {given} characters, the function's memory takes {most}: shorten it, or raise "
            "memoryMb",
        )


def _most_characters() -> int:
    return int(_room_bytes() / _BYTES_A_CHARACTER)


def check_hypotheses(inputs: int, labels: Sequence[str], template: str) -> None:
    """Raises Unprocessable for more labels, or longer ones, than a request may bring."""
    if inputs * len(labels) > MOST_HYPOTHESES:
        raise Unprocessable(
            "candidate_labels",
            f"{inputs} texts with {len(labels)} labels each are {inputs * len(labels)} hypotheses, a request "
            f"may bring {MOST_HYPOTHESES}: send fewer texts or labels",
        )
    # Each label is written into a template of its own.
    given, most = len(template) * len(labels) + characters(labels), _most_characters()
    if given > most:
        raise Unprocessable(
            "hypothesis_template" if template else "candidate_labels",
            f"{len(labels)} labels, each in a template of {len(template)} characters: {given} in all, "
            f"the function's memory takes {most}: send fewer or shorter ones, or raise memoryMb",
        )


def check_ranking(inputs: Sequence[Mapping[str, Json]]) -> None:
    """Raises Unprocessable for more documents, or longer ones, than a request of text-ranking may bring."""
    count = sum(len(each["documents"]) for each in inputs)
    if count > MOST_DOCUMENTS:
        raise Unprocessable(
            "documents", f"{count} documents, a request may bring {MOST_DOCUMENTS}: send fewer at once"
        )
    for each in inputs:
        check_text([each["query"], max(each["documents"], key=characters, default="")])


def check_overlap(name: str, overlap: int, room: int, window: int) -> None:
    """Raises Unprocessable where windows, with `room` for the text, have little of it that is new."""
    least = -(-window // MOST_WINDOWS_OVER_A_TOKEN)
    if room - overlap < least:
        raise Unprocessable(
            name,
            f"`{name}`: of the {window} tokens read at once {room - overlap} would be new "
            f"({overlap} overlap), "
            f"the least is {least}: ask for less overlap, or shorten the question",
        )


def window_overlap(parameters: Mapping[str, Json], window: int | None) -> int:
    """Tokens that two windows of token-classification share: the `stride`, else a quarter of the `window`.

    window: tokens of the text itself that the model reads at once; None: any number.
    Raises BadRequest for a stride that leaves a window nothing new, Unprocessable for one that leaves little.
    """
    stride = parameters.get("stride")
    if stride is None:
        return 0 if window is None else window // _OVERLAP
    if window is not None and stride >= window:
        raise BadRequest("stride", f"less than {window}, what the model reads at once", str(stride))
    if window is not None:
        check_overlap("stride", int(stride), window, window)
    return int(stride)


def check_windows(item: Input, new: int, window: int) -> None:
    """Raises Unprocessable for a text whose windows, each with `new` tokens of it, take too much memory."""
    given = characters(item)
    most = int(_room_bytes() / _BYTES_A_CHARACTER * new / window)
    if given > most:
        raise Unprocessable(
            None,
            f"the text has {given} characters; in windows of {window} tokens of which {new} are new the "
            f"function's memory takes {most}: shorten it, ask for less overlap, or raise memoryMb",
        )


def check_attention(tokens: int, heads: int | None, *, is_sound: bool = False) -> None:
    """Raises Unprocessable for a text, or a sound, whose attention does not fit into the function's memory.

    heads: of a layer, which keeps a score for every pair of tokens; None: 16, what large models have.
    """
    most = int((_ATTENTION * _room_bytes() / (4 * (heads or 16))) ** 0.5)
    if tokens <= most:
        return
    if is_sound:
        raise Unprocessable(
            None,
            f"the sound has {tokens} steps, the function's memory takes {most} at once: ask for "
            "chunk_length_s, or raise memoryMb",
        )
    raise Unprocessable(
        None,
        f"the text has {tokens} tokens, the function's memory takes {most} at once: shorten it, ask for "
        "truncation, or raise memoryMb",
    )


REMEDY = 'send fewer texts, or ask for one vector of each (pooling="mean")'


def numbers(result: Json) -> int:
    """How many values a result has, as far as its first elements tell."""
    count = 1
    while isinstance(result, list) and result:
        count, result = count * len(result), result[0]
    return count


def check_numbers(count: int, remedy: str) -> None:
    """Raises Unprocessable where `count` numbers of an answer take more memory than there is."""
    most = int(_room_bytes() / _BYTES_A_NUMBER)
    if count > most:
        raise Unprocessable(
            None, f"the answer would be {count} numbers, the function's memory takes {most}: {remedy}"
        )


def check_candidates(masks: int, top_k: int, length: int, words: int) -> None:
    """Raises Unprocessable where fill-mask's scores of all `words`, or its candidates, take too much memory.

    A candidate has its whole text of `length` characters.
    """
    remedy = "ask for a lower top_k, or for fewer masks"
    check_numbers(masks * (words // 2 + top_k * (10 + length // 8)), remedy)


def _room_bytes(environ: Mapping[str, str] = os.environ) -> float:
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return (int(memory_mb) if memory_mb.isdecimal() else _DEFAULT_MEMORY_MB) * 2**20 * _SHARE
