"""Generation options: what a model ships and a request asks for, resolved as in transformers' `generate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ...records import Json

DEFAULT_NEW_TOKENS = 20  # transformers' own, where neither the model nor the request says


class UnsupportedOptionError(ValueError):
    """`name` asks for something that this decoding loop does not do."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(f"generation option {name}={value!r} is not supported here")
        self.name, self.value = name, value


class InvalidOptionError(ValueError):
    """`name` cannot have this value."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"generation option {name}={value!r}: expected {expected}")
        self.name, self.value, self.expected = name, value, expected


@dataclass(frozen=True)
class Timestamps:
    """Tokens that say when: from `first` (0 seconds) on. latest: the largest index that may come first."""

    first: int
    latest: int | None = None


@dataclass(frozen=True, kw_only=True)
class Options:
    """One `generate` call, resolved: every name means what transformers' GenerationConfig means by it."""

    decoder_start_token_id: int
    eos_token_id: tuple[int, ...] = ()
    pad_token_id: int | None = None
    max_length: int = DEFAULT_NEW_TOKENS + 1
    """Tokens of a finished sequence, those that it started with included."""
    min_length: int = 0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    repetition_penalty: float = 1.0
    encoder_repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    sequence_bias: tuple[tuple[tuple[int, ...], float], ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: tuple[int, ...] = ()
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    exponential_decay_length_penalty: tuple[int, float] | None = None
    remove_invalid_values: bool = False
    renormalize_logits: bool = False
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    seed: int | None = None
    prompt: tuple[int, ...] = ()
    """Tokens that every sequence starts with, the decoder start token among them; empty: that one alone."""
    timestamps: Timestamps | None = None

    @property
    def begin(self) -> tuple[int, ...]:
        """What every sequence starts with."""
        return self.prompt or (self.decoder_start_token_id,)

    @property
    def fill(self) -> int:
        """What follows the end of a sequence that ended before its neighbours."""
        return self.pad_token_id if self.pad_token_id is not None else next(iter(self.eos_token_id), 0)


LENGTHS = ("max_new_tokens", "min_new_tokens")
_OURS = {"prompt", "timestamps"}
SUPPORTED = frozenset({field.name for field in fields(Options)} - _OURS) | {*LENGTHS, "bos_token_id"}

NEUTRAL: dict[str, tuple[object, ...]] = {
    "num_beam_groups": (1,),
    "diversity_penalty": (0, 0.0),
    "penalty_alpha": (0, 0.0),
    "epsilon_cutoff": (0, 0.0),
    "eta_cutoff": (0, 0.0),
    "guidance_scale": (1, 1.0),
    "low_memory": (False,),
    "token_healing": (False,),
    "is_assistant": (False,),
    "return_dict_in_generate": (False,),
    "output_scores": (False,),
    "output_logits": (False,),
    "constraint_mode": (False,),
}
"""Options of transformers that are not built here, with the values that change nothing."""

# fmt: off
WITHOUT_EFFECT = frozenset({
    "assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind", "cache_config",
    "cache_implementation", "compile_config", "continuous_batching_config", "disable_compile",
    "max_cache_len", "max_matching_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule",
    "output_attentions", "output_hidden_states", "prefill_chunk_size", "target_lookbehind",
    "transformers_version", "use_cache", "_from_model_config",
})
# fmt: on
"""Say how to compute, not what: they change no token."""


_FIELDS = frozenset(Options.__dataclass_fields__)


def resolve(
    shipped: Mapping[str, Json],
    request: Mapping[str, Json],
    *,
    max_position: int | None = None,
    vocabulary: int | None = None,
) -> Options:
    """`request` over `shipped` over transformers' defaults; None counts as not given.

    `max_position`: how many positions the decoder has, None where it takes any number;
    `vocabulary` how many tokens it scores, None to take any id.
    Raises UnsupportedOptionError and InvalidOptionError.
    """
    merged = {name: value for name, value in shipped.items() if value is not None}
    merged |= {name: value for name, value in request.items() if value is not None}
    if name := unsupported(merged):
        raise UnsupportedOptionError(name, merged[name])
    start = merged.get("decoder_start_token_id", merged.pop("bos_token_id", None))
    if not isinstance(start, int):
        raise InvalidOptionError(
            "decoder_start_token_id", start, "the id of the token that decoding starts with"
        )
    lengths = _lengths(merged, max_position)
    known = {name: _plain(value) for name, value in merged.items() if name in SUPPORTED & _FIELDS}
    known |= {"decoder_start_token_id": start, **lengths}
    for name in ("eos_token_id", "forced_eos_token_id"):
        if isinstance(known.get(name), int):
            known[name] = (known[name],)
    options = _checked(Options(**known))
    if vocabulary is not None:
        _check_ids(options, vocabulary, ends="eos_token_id" in request)
    return options


def unsupported(options: Mapping[str, Json]) -> str | None:
    """Name of the first option that would change the result and is not built here, or None."""
    for name, value in options.items():
        if value is None or name in SUPPORTED or name in WITHOUT_EFFECT:
            continue
        if not any(value == neutral and type(value) is type(neutral) for neutral in NEUTRAL.get(name, ())):
            return name
    return None


def _lengths(merged: Mapping[str, Json], max_position: int | None) -> dict[str, int]:
    """max_length and min_length in tokens, with the one decoder start token counted in both."""
    new = merged.get("max_new_tokens")
    if new is not None:
        longest = _whole("max_new_tokens", new, 1) + 1
    elif "max_length" in merged:
        longest = _whole("max_length", merged["max_length"], 2)
    else:
        longest = min(DEFAULT_NEW_TOKENS + 1, max_position or DEFAULT_NEW_TOKENS + 1)
    if max_position is not None and longest > max_position + 1:
        # The last token is never fed back, so the model answers one more than it has positions for.
        name = "max_length" if new is None else "max_new_tokens"
        most = max_position + (name == "max_length")
        raise InvalidOptionError(name, merged[name], f"at most {most}, what the model has positions for")
    shortest = merged.get("min_new_tokens")
    if shortest is not None:
        return {"max_length": longest, "min_length": _whole("min_new_tokens", shortest, 0) + 1}
    return {"max_length": longest, "min_length": _whole("min_length", merged.get("min_length", 0), 0)}


def _checked(options: Options) -> Options:
    for name in ("num_beams", "num_return_sequences"):
        _whole(name, getattr(options, name), 1)
    for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "top_k"):
        _whole(name, getattr(options, name), 0)
    for name in ("repetition_penalty", "encoder_repetition_penalty", "temperature"):
        if not getattr(options, name) > 0:
            raise InvalidOptionError(name, getattr(options, name), "a number above 0")
    if options.early_stopping not in (True, False, "never"):
        raise InvalidOptionError("early_stopping", options.early_stopping, "true, false or 'never'")
    if not 0 <= options.top_p <= 1:
        raise InvalidOptionError("top_p", options.top_p, "a number from 0 to 1")
    for forced in ((options.forced_bos_token_id,), options.forced_eos_token_id):
        if forced and None not in forced and set(forced) <= set(options.suppress_tokens):
            raise InvalidOptionError(
                "suppress_tokens", options.suppress_tokens, "none of the forced tokens in it"
            )
    most = (
        options.num_beams if options.num_beams > 1 or not options.do_sample else options.num_return_sequences
    )
    if options.num_return_sequences > most:
        expected = "at most num_beams" if options.num_beams > 1 else "1 without num_beams or do_sample"
        raise InvalidOptionError("num_return_sequences", options.num_return_sequences, expected)
    return options


def _check_ids(options: Options, vocabulary: int, *, ends: bool) -> None:
    """ends: whether the request names the tokens that end a text; some models ship ids that they lack."""
    lists = ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "forced_eos_token_id")
    for name in (*lists, *(("eos_token_id",) if ends else ())):
        words = getattr(options, name) if name == "bad_words_ids" else (getattr(options, name),)
        if not all(0 <= token < vocabulary for word in words for token in word):
            raise InvalidOptionError(name, getattr(options, name), f"token ids from 0 to {vocabulary - 1}")
    if not all(0 <= token < vocabulary for word, _ in options.sequence_bias for token in word):
        raise InvalidOptionError("sequence_bias", options.sequence_bias, f"token ids below {vocabulary}")
    for name in ("forced_bos_token_id", "decoder_start_token_id"):
        if not 0 <= (getattr(options, name) or 0) < vocabulary:
            raise InvalidOptionError(name, getattr(options, name), f"a token id from 0 to {vocabulary - 1}")


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidOptionError(name, value, f"a whole number of at least {least}")
    return value


def _plain(value: Json) -> Json:
    """Lists (of lists) as tuples, so that resolved options are immutable."""
    return tuple(_plain(item) for item in value) if isinstance(value, list | tuple) else value
