"""Logits processors: what options do to the scores of the next token, in transformers' order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .options import Options, Timestamps

Scores = NDArray[np.float32]
Ids = NDArray[np.int64]
Processor = Callable[[Ids, Scores, Ids], Scores]
"""(tokens so far (rows, length), scores (rows, vocabulary), input of each row (rows)) -> scores, perhaps
the same array."""


def processors_for(options: Options, sources: Sequence[Sequence[int]]) -> list[Processor]:
    """`sources` are the encoder's tokens per input, without padding: some penalties look at them."""
    chain: list[Processor] = []
    start = len(options.begin)
    eos = list(options.eos_token_id)
    if options.sequence_bias:
        chain.append(_sequence_bias(options.sequence_bias))
    if options.encoder_repetition_penalty != 1.0:
        chain.append(_encoder_repetition(1 / options.encoder_repetition_penalty, sources))
    if options.repetition_penalty != 1.0:
        chain.append(_repetition(options.repetition_penalty))
    if options.no_repeat_ngram_size:
        chain.append(_no_repeat_ngram(options.no_repeat_ngram_size))
    if options.encoder_no_repeat_ngram_size:
        chain.append(_encoder_no_repeat_ngram(options.encoder_no_repeat_ngram_size, sources))
    if options.bad_words_ids:
        words = [word for word in options.bad_words_ids if not (len(word) == 1 and word[0] in eos)]
        chain.append(_sequence_bias([(word, -np.inf) for word in words]))
    if eos and options.min_length > 0:
        chain.append(_at(lambda length: length < options.min_length, eos))
    if options.forced_bos_token_id is not None:
        chain.append(_forced(start, [options.forced_bos_token_id]))
    if options.forced_eos_token_id:
        chain.append(_forced(options.max_length - 1, list(options.forced_eos_token_id)))
    if options.remove_invalid_values:
        chain.append(_without_invalid)
    if options.exponential_decay_length_penalty is not None and eos:
        chain.append(_exponential_decay(*options.exponential_decay_length_penalty, eos, start))
    if options.suppress_tokens:
        chain.append(_at(lambda length: True, list(options.suppress_tokens)))
    if options.begin_suppress_tokens:
        begin = start + (options.forced_bos_token_id is not None)
        chain.append(_at(lambda length: length == begin, list(options.begin_suppress_tokens)))
    if options.timestamps is not None:
        chain.append(_timestamps(options.timestamps, start, eos[0]))
    return chain


def log_softmax(scores: Scores) -> Scores:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    logs: Scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs


def _at(applies: Callable[[int], bool], tokens: list[int]) -> Processor:
    """Forbid `tokens` at the lengths where `applies` says so."""

    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        if applies(ids.shape[1]):
            scores[:, tokens] = -np.inf
        return scores

    return process


def _forced(length: int, tokens: list[int]) -> Processor:
    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        if ids.shape[1] == length:
            scores[:] = -np.inf
            scores[:, tokens] = 0
        return scores

    return process


def _repetition(penalty: float) -> Processor:
    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        return _scaled(scores, ids, penalty)

    return process


def _encoder_repetition(penalty: float, sources: Sequence[Sequence[int]]) -> Processor:
    longest = max(len(source) for source in sources)
    # Repeating a token of the source is harmless, padding would be penalised with it.
    table = np.array([[*source, *[source[-1]] * (longest - len(source))] for source in sources], np.int64)

    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        return _scaled(scores, table[inputs], penalty)

    return process


def _scaled(scores: Scores, tokens: Ids, penalty: float) -> Scores:
    """Each of `tokens` (rows, n) less likely by `penalty` (once, however often it is there)."""
    chosen = np.take_along_axis(scores, tokens, axis=1)
    factor = np.float32(penalty)
    np.put_along_axis(scores, tokens, np.where(chosen < 0, chosen * factor, chosen / factor), axis=1)
    return scores


def _no_repeat_ngram(size: int) -> Processor:
    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        length = ids.shape[1]
        if length < size:
            return scores
        windows = np.lib.stride_tricks.sliding_window_view(ids, size, axis=1)
        prefix = ids[:, None, length + 1 - size :]
        rows, places = np.nonzero((windows[..., :-1] == prefix).all(axis=-1))
        scores[rows, windows[rows, places, -1]] = -np.inf
        return scores

    return process


def _encoder_no_repeat_ngram(size: int, sources: Sequence[Sequence[int]]) -> Processor:
    followers: list[dict[tuple[int, ...], list[int]]] = []
    for source in sources:
        table: dict[tuple[int, ...], list[int]] = {}
        for at in range(len(source) - size + 1):
            table.setdefault(tuple(source[at : at + size - 1]), []).append(source[at + size - 1])
        followers.append(table)

    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        start = ids.shape[1] + 1 - size
        for row, tokens in enumerate(ids.tolist()):
            prefix = tuple(tokens[start:]) if start >= 0 else ()
            scores[row, followers[inputs[row]].get(prefix, [])] = -np.inf
        return scores

    return process


def _sequence_bias(biases: Sequence[tuple[tuple[int, ...], float]]) -> Processor:
    """Add each bias to the last token of its sequence where the tokens before it were just written."""
    single = [(sequence[0], bias) for sequence, bias in biases if len(sequence) == 1]
    longer = [(np.asarray(sequence), bias) for sequence, bias in biases if len(sequence) > 1]

    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        for token, bias in single:
            scores[:, token] += np.float32(bias)
        for sequence, bias in longer:
            before = len(sequence) - 1
            if before <= ids.shape[1]:
                rows = (ids[:, ids.shape[1] - before :] == sequence[:-1]).all(axis=1)
                scores[rows, sequence[-1]] += np.float32(bias)
        return scores

    return process


def _exponential_decay(after: int, factor: float, eos: list[int], start: int) -> Processor:
    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        past = ids.shape[1] - (after + start)
        if past > 0:
            values = scores[:, eos]
            finite = np.isfinite(values)
            growth = np.float32(pow(factor, past) - 1)
            scores[:, eos] = np.where(finite, values + np.abs(values) * growth, values)
        return scores

    return process


def _without_invalid(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
    limits = np.finfo(np.float32)
    most, least = float(limits.max), float(limits.min)
    return np.nan_to_num(scores, copy=False, nan=0.0, posinf=most, neginf=least)


def _timestamps(rules: Timestamps, start: int, eos: int) -> Processor:
    """Whisper's: they come in pairs but for the first and the last, never go back, and are taken where all of
    them together are likelier than any text. The text's ids lie below `eos`, theirs at the end."""
    first = rules.first

    def process(ids: Ids, scores: Scores, inputs: Ids) -> Scores:
        scores[:, first - 1] = -np.inf  # <|notimestamps|>
        for row, tokens in enumerate(ids[:, start:].tolist()):
            is_last = bool(tokens) and tokens[-1] >= first
            is_before = len(tokens) < 2 or tokens[-2] >= first
            if is_last and is_before:
                scores[row, first:] = -np.inf
            elif is_last:
                scores[row, :eos] = -np.inf
            known = [token for token in tokens if token >= first]
            if known:
                scores[row, first : known[-1] + (not (is_last and not is_before))] = -np.inf
        if ids.shape[1] == start:
            scores[:, :first] = -np.inf
            if rules.latest is not None:
                scores[:, first + rules.latest + 1 :] = -np.inf
        peak = scores[:, first:].max(axis=1)
        together = np.full(len(scores), -np.inf, np.float32)
        possible = np.isfinite(peak)
        shifted = scores[possible, first:] - peak[possible, None]
        together[possible] = np.log(np.exp(shifted).sum(axis=1)) + peak[possible]
        scores[together > scores[:, :first].max(axis=1), :first] = -np.inf
        return scores

    return process
