"""Which values the parameters of a call take; checked once, for both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .parameters import OWN_OPTIONS, POOLINGS, declared_of
from .tasks import head_of

Check = Callable[[Any], bool]


def expected_value(task: str, name: str, value: Any) -> str | None:
    """What parameter `name` takes, where `value` is not that; None where it is."""
    if name == "top_k" and head_of(task) in _GENERATING:
        name = "top_k of sampling"  # 0 turns it off; for a number of answers it makes no sense
    words, check = _VALUES.get(name, ("", _anything))
    return None if check(value) else words


def default_problem(task: str, name: str, value: Any) -> str | None:
    """Why `pipeline(task, name=value)` is refused, or None; None stands for the default."""
    if value is None or name in OWN_OPTIONS or name not in declared_of(task):
        return None
    words = expected_value(task, name, value)
    return words and f"`{name}={value!r}`: write {words}"


_GENERATING = ("seq2seq-lm", "causal-lm", "image-text-to-text", "automatic-speech-recognition")


def _anything(value: Any) -> bool:
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_text, value))


def _whole_from(least: int) -> tuple[str, Check]:
    return f"a whole number of at least {least}", lambda value: _is_whole(value) and value >= least


def _one_of(*choices: object) -> tuple[str, Check]:
    words = ", ".join(str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices)
    return f"one of {words}", lambda value: any(value is choice or value == choice for choice in choices)


_SWITCH = _one_of(True, False)
_SHARE = ("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_ABOVE_ZERO = ("a number above 0", lambda value: _is_number(value) and value > 0)
_NUMBER = ("a number", _is_number)
_TEXT = ("text", _is_text)
_TEXTS = ("text or an array of texts", lambda value: _is_text(value) or _are_texts(value))
_OBJECTS = (
    "an array of objects",
    lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
)
_TOKEN_IDS = (
    "an array of token ids",
    lambda value: isinstance(value, list) and all(map(_is_whole, value)),
)
_TOKEN = ("a token id", _is_whole)
_END = ("a token id or an array of them", lambda value: _is_whole(value) or _TOKEN_IDS[1](value))

_VALUES: dict[str, tuple[str, Check]] = {
    **dict.fromkeys(
        ("top_k", "max_length", "max_new_tokens", "num_beams", "num_beam_groups"), _whole_from(1)
    ),
    **dict.fromkeys(("num_return_sequences", "max_answer_len", "max_seq_len"), _whole_from(1)),
    **dict.fromkeys(("max_question_len",), _whole_from(1)),
    **dict.fromkeys(("min_length", "min_new_tokens", "no_repeat_ngram_size", "seed"), _whole_from(0)),
    **dict.fromkeys(("encoder_no_repeat_ngram_size", "doc_stride", "stride"), _whole_from(0)),
    **dict.fromkeys(("do_sample", "multi_label", "normalize", "handle_impossible_answer"), _SWITCH),
    **dict.fromkeys(("return_full_text", "clean_up_tokenization_spaces", "is_split_into_words"), _SWITCH),
    **dict.fromkeys(("temperature", "repetition_penalty", "encoder_repetition_penalty"), _ABOVE_ZERO),
    **dict.fromkeys(("top_p", "min_p", "typical_p"), _SHARE),
    **dict.fromkeys(("threshold", "mask_threshold", "overlap_mask_area_threshold"), _SHARE),
    **dict.fromkeys(("pool", "return_language"), _SWITCH),
    **dict.fromkeys(("language", "prompt"), _TEXT),
    "chunk_length_s": _ABOVE_ZERO,
    "stride_length_s": (
        "a number from 0, or an array of two of them",
        lambda value: all(_is_number(each) and each >= 0 for each in (value if _is_pair(value) else [value])),
    ),
    "return_timestamps": _one_of(True, False, "word", "char"),
    "subtask": _one_of("semantic", "instance", "panoptic"),
    "task": _one_of("transcribe", "translate"),
    **dict.fromkeys(("length_penalty", "diversity_penalty"), _NUMBER),
    **dict.fromkeys(("src_lang", "tgt_lang"), _TEXT),
    **dict.fromkeys(("candidate_labels", "targets", "stop_sequence"), _TEXTS),
    **dict.fromkeys(("decoder_start_token_id", "forced_bos_token_id"), _TOKEN),
    **dict.fromkeys(("eos_token_id", "forced_eos_token_id"), _END),
    **dict.fromkeys(("frequency_penalty", "presence_penalty"), _NUMBER),
    **dict.fromkeys(("tools", "documents"), _OBJECTS),
    "max_context": _whole_from(2),
    "sequence_bias": (
        "an array of pairs of token ids and a number",
        lambda value: (
            isinstance(value, list)
            and all(
                isinstance(pair, list) and len(pair) == 2 and _TOKEN_IDS[1](pair[0]) and _is_number(pair[1])
                for pair in value
            )
        ),
    ),
    "chat_template_kwargs": ("an object", lambda value: isinstance(value, dict)),
    "stop": (
        "a text or an array of texts, none of them empty",
        lambda value: (
            bool(value)
            and all(isinstance(each, str) and each for each in ([value] if isinstance(value, str) else value))
            if isinstance(value, str | list)
            else False
        ),
    ),
    "top_k of sampling": _whole_from(0),
    "suppress_tokens": _TOKEN_IDS,
    "bad_words_ids": (
        "an array of arrays of token ids",
        lambda value: isinstance(value, list) and all(map(_TOKEN_IDS[1], value)),
    ),
    "early_stopping": _one_of(True, False, "never"),
    "truncation": _one_of(True, False, "longest_first", "only_first", "only_second", "do_not_truncate"),
    "aggregation_strategy": _one_of("none", "simple", "first", "average", "max"),
    "function_to_apply": _one_of("sigmoid", "softmax", "none", "default"),
    "pooling": _one_of(*POOLINGS),
    "tokenizer_kwargs": (
        "an object of truncation and max_length",
        lambda value: (
            isinstance(value, dict)
            and bool(value)
            and set(value) <= {"truncation", "max_length"}
            and all(_VALUES[name][1](each) for name, each in value.items())
        ),
    ),
    "delimiter": ("text", lambda value: isinstance(value, str)),
    "ignore_labels": (
        "an array of labels",
        lambda value: isinstance(value, list) and all(isinstance(label, str) for label in value),
    ),
    "hypothesis_template": (
        "text with {} where the label goes",
        lambda value: _is_text(value) and value.count("{}") == 1,
    ),
}
