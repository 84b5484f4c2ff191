"""The decoding loop: scores from the decoder, changed as the options say, to every input's search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from .options import Options
from .processors import Ids, Processor, Scores, log_softmax, processors_for
from .sampling import filters_for
from .search import Search, search_for


class Steps(Protocol):
    """What the loop asks of a decoder; see `decoder.Decoder`."""

    def step(self, tokens: Ids, origin: Ids) -> Scores: ...

    def keep(self, inputs: list[int]) -> None: ...


def generate(
    start: Callable[[int], Steps], sources: Sequence[Sequence[int]], options: Options
) -> list[list[list[int]]]:
    """Per input its num_return_sequences token sequences, best first.

    `sources` are the encoder's tokens per input, without padding; `start(rows)` starts a decoder over them
    all. An input's result does not depend on the others in the batch.
    """
    searches = [search_for(options) for _ in sources]
    held = list(range(len(searches)))  # the inputs that the decoder computes, some of them done
    rows = len(searches[0].tokens)
    decoder, chain = start(rows * len(held)), _chain(options, sources)
    origin = np.arange(rows * len(held))
    for token in options.begin[:-1]:
        decoder.step(np.full(len(origin), token, np.int64), origin)
    length = len(options.begin) - 1
    while not all(search.done for search in searches):
        length += 1
        tokens = np.concatenate([_padded(searches[at].tokens, length, options.fill) for at in held])
        scores = decoder.step(tokens[:, -1], origin)
        owners = np.repeat(held, rows)
        with np.errstate(invalid="ignore"):  # what is forbidden scores -inf, and stays so
            for process in chain:
                scores = process(tokens, scores, owners)
        origin = np.arange(len(owners))
        for place, at in enumerate(held):
            if not searches[at].done:
                part = slice(place * rows, (place + 1) * rows)
                origin[part] = place * rows + searches[at].advance(scores[part])
        held, origin = _without_done(decoder, searches, held, origin)
    return [search.results() for search in searches]


def _chain(options: Options, sources: Sequence[Sequence[int]]) -> list[Processor]:
    chain = processors_for(options, sources)
    if options.num_beams > 1:
        chain.insert(0, _processor(log_softmax))
    for narrow in filters_for(options):
        chain.append(_processor(narrow))
    if options.renormalize_logits:
        chain.append(_processor(log_softmax))
    return chain


def _processor(change: Callable[[Scores], Scores]) -> Processor:
    return lambda tokens, scores, owners: change(scores)


def _padded(tokens: Ids, length: int, fill: int) -> Ids:
    missing = length - tokens.shape[1]
    return np.pad(tokens, ((0, 0), (0, missing)), constant_values=fill) if missing > 0 else tokens


def _without_done(
    decoder: Steps, searches: Sequence[Search], held: list[int], origin: Ids
) -> tuple[list[int], Ids]:
    """Let go of inputs that are done, once they are half of what the decoder computes.

    It copies what is kept of the encoder's keys and values, so not for every one.
    """
    going = [place for place, at in enumerate(held) if not searches[at].done]
    if not going or 2 * len(going) > len(held):
        return held, origin
    decoder.keep(going)
    rows = len(origin) // len(held)
    return [held[place] for place in going], origin.reshape(len(held), rows)[going].reshape(-1)
