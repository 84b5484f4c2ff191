"""What `pipeline(...)` and its calls take, per task; checked where a request enters, trusted by engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from .errors import BadRequest, shortened
from .records import Json
from .repo_id import is_repo_id
from .sentence_embedding import POOLINGS
from .signature import json_type
from .structure import STRUCTURE
from .tasks import TORCH_ONLY, base_of, head_of, languages

Check = Callable[[Json], bool]

ENGINES = ("auto", "onnx", "torch")
PRECISIONS = ("auto", "fp32", "int8")
_LANGUAGE_MODEL_PRECISIONS = (*PRECISIONS, "int4")

POSITIONAL = (
    "task",
    "model",
    "config",
    "tokenizer",
    "feature_extractor",
    "image_processor",
    "video_processor",
    "processor",
    "revision",
)
"""Order of `transformers.pipeline`'s positional arguments."""

OWN_OPTIONS = (
    *("task", "model", "revision", "engine", "precision", "samples"),
    *("trust_remote_code", "code_revision"),
)

IGNORED: dict[str, tuple[object, ...]] = {
    "config": (None,),
    "tokenizer": (None,),
    "feature_extractor": (None,),
    "image_processor": (None,),
    "video_processor": (None,),
    "processor": (None,),
    "use_fast": (None, True),
    "framework": (None, "pt"),
    "token": (None, False),
    "device": (None, -1, "cpu"),
    "device_map": (None, "auto", "cpu"),
    "dtype": (None, "auto", "float32"),
    "torch_dtype": (None, "auto", "float32"),
    "model_kwargs": (None, {}),
    "pipeline_class": (None,),
}
"""Options of `transformers.pipeline` that mean nothing here, with the values that change nothing."""

GENERATION = (
    "bad_words_ids",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "eos_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "repetition_penalty",
    "seed",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
)
_OF_SPEECH = ("language", "task", "prompt")
"""What `generate` takes beside them of models that hear."""
NEW_TOKENS = 256
"""Of generated text, where neither model nor request limits it; `generate` alone would stop after 20."""
_SEQ2SEQ = (*GENERATION, "truncation", "clean_up_tokenization_spaces")
_QUESTIONS = (
    "top_k",
    "doc_stride",
    "max_answer_len",
    "max_seq_len",
    "max_question_len",
    "handle_impossible_answer",
)
_LENGTHS = ("truncation", "max_length")
_LABELLED = ("candidate_labels", "hypothesis_template")

PARAMETERS = {
    "text-classification": ("top_k", "function_to_apply", *_LENGTHS),
    "token-classification": (
        "aggregation_strategy",
        "ignore_labels",
        "stride",
        "is_split_into_words",
        "delimiter",
    ),
    "question-answering": (*_QUESTIONS, "align_to_words"),
    "fill-mask": ("top_k", "targets", "tokenizer_kwargs", *_LENGTHS),
    "feature-extraction": (
        *_LENGTHS,
        "tokenize_kwargs",
        "truncation_side",
        "pooling",
        "normalize",
        "prompt",
        "prompt_name",
    ),
    "zero-shot-classification": ("candidate_labels", "hypothesis_template", "multi_label"),
    "text-ranking": ("top_n", "return_documents", "function_to_apply", *_LENGTHS, "truncation_side"),
    "text-generation": (
        *GENERATION,
        "return_full_text",
        "stop_sequence",
        "stop",
        "frequency_penalty",
        "presence_penalty",
        "sequence_bias",
        "tools",
        "documents",
        "chat_template_kwargs",
        *STRUCTURE,
    ),
    "summarization": _SEQ2SEQ,
    "translation": (*_SEQ2SEQ, "src_lang", "tgt_lang"),
    "text2text-generation": _SEQ2SEQ,
    "image-classification": ("top_k", "function_to_apply"),
    "image-feature-extraction": ("pool",),
    "image-segmentation": ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold"),
    "object-detection": ("threshold",),
    "depth-estimation": (),
    "image-to-text": (*GENERATION, "generate_kwargs", "prompt"),
    "zero-shot-image-classification": _LABELLED,
    "zero-shot-object-detection": ("candidate_labels", "threshold", "top_k"),
    "keypoint-matching": ("threshold",),
    # transformers 5.23 passes `max_question_len` on to a function that does not take it.
    "document-question-answering": tuple(name for name in _QUESTIONS if name != "max_question_len"),
    "image-text-to-text": (*GENERATION, "generate_kwargs", "return_full_text"),
    "audio-classification": ("top_k", "function_to_apply"),
    "automatic-speech-recognition": (
        *GENERATION,
        "generate_kwargs",
        "language",
        "task",
        "prompt",
        "return_timestamps",
        "return_language",
        "chunk_length_s",
        "stride_length_s",
    ),
    "zero-shot-audio-classification": _LABELLED,
    "text-to-audio": ("seed", "do_sample", "temperature", "max_new_tokens", "generate_kwargs"),
    "decision": (),
}


UNCHANGING = {
    "text-classification": ("padding", "return_all_scores"),
    "feature-extraction": ("padding", "return_tensors"),
    "text-generation": ("padding", "return_tensors"),
    "summarization": ("return_tensors",),
    "translation": ("return_tensors",),
    "text2text-generation": ("return_tensors",),
    # Of fetching a URL, which is never done here.
    **dict.fromkeys(
        (
            *("image-classification", "image-feature-extraction", "image-segmentation", "object-detection"),
            *("depth-estimation", "zero-shot-image-classification", "zero-shot-object-detection"),
            *("image-to-text", "image-text-to-text", "document-question-answering", "keypoint-matching"),
        ),
        ("timeout",),
    ),
}
"""What calls of transformers' pipelines take and no answer depends on; batches are made here as they fit."""
_BATCHING = ("batch_size", "num_workers")
ALL_LABELS = (("text-classification", "top_k"), ("audio-classification", "top_k"))
"""Parameters whose None asks for every label, as in transformers; elsewhere None is as good as left out."""

_GENERATING = (
    "seq2seq-lm",
    "causal-lm",
    "image-text-to-text",
    "image-to-text",
    "automatic-speech-recognition",
)
"""Heads that sample: their `top_k` is a number of tokens, not of answers."""
LOAD_OPTIONS = {"text-generation": ("max_context",)}
"""What a declaration takes beside the defaults of its calls, for loading the model."""


ADAPTER_OPTIONS = {"text-generation": ("adapter", "adapter_revision")}
"""What a declaration takes for the warm-up alone."""


def precisions_of(task: str) -> tuple[str, ...]:
    return _LANGUAGE_MODEL_PRECISIONS if base_of(task) == "text-generation" else PRECISIONS


def declared_of(task: str) -> tuple[str, ...]:
    """Names of everything that `pipeline(task, ...)` takes beside OWN_OPTIONS."""
    base = base_of(task)
    return (*parameters_of(task), *LOAD_OPTIONS.get(base, ()), *ADAPTER_OPTIONS.get(base, ()))


def adapter_problem(adapter: object, revision: object, engine: object) -> str | None:
    """Why these options of a declaration do not go together, or None."""
    if adapter is None:
        return None if revision is None else "`adapter_revision` is of an adapter: name it, `adapter=`"
    if engine != "onnx":
        return f'`adapter={adapter!r}`: the warm-up merges it into the model: write engine="onnx" beside it'
    return None


def parameters_of(task: str) -> tuple[str, ...]:
    """Parameters of a call, and defaults for them at construction."""
    return PARAMETERS[base_of(task)]


def unchanging_of(task: str) -> tuple[str, ...]:
    """Names that a call and a declaration may hold, and that change nothing."""
    return (*_BATCHING, *UNCHANGING.get(base_of(task), ()))


def is_given(task: str, name: str, value: Json) -> bool:
    """Whether `name=value` says something: None mostly stands for the default."""
    return value is not None or (base_of(task), name) in ALL_LABELS


def generates(task: str) -> bool:
    """Whether answers are written token by token."""
    return "max_new_tokens" in parameters_of(task)


def option_problem(task: str, name: str, value: object) -> str | None:
    """Why `pipeline(task, name=value)` is refused, or None."""
    if name in OWN_OPTIONS or name in declared_of(task):
        return None
    if name in unchanging_of(task):
        words = None if value is None else expected_value(task, name, value)
        return words and f"`{name}={value!r}`: write {words}"
    if name in IGNORED:
        if any(value is allowed or value == allowed for allowed in IGNORED[name]):
            return None
        return f"`{name}={value!r}` is not supported here: leave it out"
    known = ", ".join([*OWN_OPTIONS, *declared_of(task)])
    return f"`{name}` is not an option of {task}; it takes {known}"


def default_problem(task: str, name: str, value: Json) -> str | None:
    """Why `pipeline(task, name=value)` is refused, or None; None stands for the default."""
    if (name, value) == ("engine", "onnx") and task in TORCH_ONLY:
        return f"`engine={value!r}`: models for {task} are not prepared; leave it out, and torch answers"
    if value is None or name in OWN_OPTIONS or name not in declared_of(task):
        return None
    words = expected_value(task, name, value)
    return words and f"`{name}={value!r}`: write {words}"


def call_parameters(task: str, defaults: Mapping[str, Json], given: Mapping[str, Json]) -> dict[str, Json]:
    """What an engine is called with: `given` over `defaults`. Raises BadRequest for what the task refuses."""
    known, unchanging = parameters_of(task), unchanging_of(task)
    defaults, given = _spread(task, defaults), _spread(task, given)
    for name, value in given.items():
        if name not in known and name not in unchanging:
            raise BadRequest(name, f"one of the parameters {', '.join(known)}", "an unknown one")
        if value is None:  # one of ALL_LABELS
            continue
        if (expected := expected_value(task, name, value)) is not None:
            raise BadRequest(name, expected, _shown(value))
    for one, other in (("prompt", "prompt_name"), ("prompt_name", "prompt")):
        if one in given:  # the request's own comes instead of the script's, whichever way that is said
            defaults = {name: value for name, value in defaults.items() if name != other}
    both = {**defaults, **given}
    chosen = {name: as_float(name, value) for name, value in both.items() if name not in unchanging}
    for name in ("tokenizer_kwargs", "tokenize_kwargs"):
        chosen |= {key: value for key, value in chosen.pop(name, {}).items() if key in _LENGTHS}
    if "candidate_labels" in known:
        chosen["candidate_labels"] = _labels(chosen.get("candidate_labels"))
    for least, most in (("min_length", "max_length"), ("min_new_tokens", "max_new_tokens")):
        if least in chosen and chosen[least] > chosen.get(most, chosen[least]):
            raise BadRequest(least, f"at most {most} ({chosen[most]})", str(chosen[least]))
    if "pooling" in known and chosen.get("pooling") is None:
        for name in ("prompt", "prompt_name"):
            if chosen.get(name) is not None:
                raise BadRequest(name, "a pooling with it, for instance auto", "none")
    if (
        "aggregation_strategy" in known
        and "stride" in chosen
        and chosen.get("aggregation_strategy", "none") == "none"
    ):
        raise BadRequest("stride", "an aggregation_strategy with it, for instance simple", "none")
    return chosen


def _spread(task: str, values: Mapping[str, Json]) -> Mapping[str, Json]:
    """`values` with those in `generate_kwargs` beside the others, which come first, as in transformers."""
    inside = values.get("generate_kwargs")
    if inside is None or "generate_kwargs" not in parameters_of(task):
        return values
    if (words := expected_value(task, "generate_kwargs", inside)) is not None:
        raise BadRequest("generate_kwargs", words, json_type(inside))
    others = {name: value for name, value in values.items() if name != "generate_kwargs"}
    return {**{name: value for name, value in inside.items() if value is not None}, **others}


_FLOATS = frozenset(
    [
        "diversity_penalty",
        "encoder_repetition_penalty",
        "frequency_penalty",
        "length_penalty",
        "mask_threshold",
        "min_p",
        "overlap_mask_area_threshold",
        "presence_penalty",
        "repetition_penalty",
        "temperature",
        "threshold",
        "top_p",
        "typical_p",
    ]
)
"""Parameters that transformers wants as floats; JSON writes 2 for 2.0."""


def as_float(name: str, value: Json) -> Json:
    return float(value) if name in _FLOATS and _is_number(value) else value


def generation_options(parameters: Mapping[str, Json]) -> dict[str, Json]:
    """Those of a call's parameters that `generate` takes."""
    return {name: value for name, value in parameters.items() if name in GENERATION}


def truncates(parameters: Mapping[str, Json]) -> bool:
    """Whether texts that are too long are cut."""
    return parameters.get("truncation") not in (None, False, "do_not_truncate")


def language_pair(task: str, parameters: Mapping[str, Json], known: Collection[str]) -> tuple[str, str]:
    """Source and target: of the call, else of the task's name. Raises BadRequest where one is not `known`."""
    default = languages(task) or (None, None)
    source, target = parameters.get("src_lang") or default[0], parameters.get("tgt_lang") or default[1]
    for name, code in (("src_lang", source), ("tgt_lang", target)):
        if code not in known:
            some = ", ".join([*known][:8])
            raise BadRequest(name, f"one of the model's {len(known)} languages: {some}, ...", repr(code))
    return str(source), str(target)


def expected_value(task: str, name: str, value: Json) -> str | None:
    """What parameter `name` takes, where `value` is not that; None where it is."""
    if name == "top_k" and head_of(task) in _GENERATING:
        name = "top_k of sampling"  # 0 turns it off; for a number of answers it makes no sense
    if (task, name) == ("feature-extraction", "prompt"):
        name = "prompt of an embedding"  # an empty one says: without the default one
    if (task, name) == ("text-ranking", "function_to_apply"):
        name = "function_to_apply of a ranking"  # of one score there is no softmax
    if name == "generate_kwargs":
        return _expected_inside(task, value)
    words, check = _VALUES.get(name, ("", _anything))
    if not check(value):
        return words
    if name in _BOUNDS or _is_whole(value):
        least, most = _BOUNDS.get(name, (-_MOST_WHOLE, _MOST_WHOLE))
        return None if least <= value <= most else f"a number from {least:g} to {most:g}"
    return None


def _expected_inside(task: str, value: Json) -> str | None:
    """As `expected_value`, of an object of parameters of generation."""
    names = [name for name in parameters_of(task) if name in (*GENERATION, *_OF_SPEECH)]
    if not isinstance(value, dict) or not value.keys() <= {*names}:
        return f"an object of {', '.join(names)}"
    for name, each in value.items():
        if each is not None and (words := expected_value(task, name, each)) is not None:
            return f"{words} as its {name}"
    return None


def _labels(given: Json) -> list[str]:
    """A list, or one string of labels with commas between them."""
    labels = [label.strip() for label in given.split(",")] if isinstance(given, str) else list(given or [])
    labels = [label for label in labels if label]
    if not labels:
        raise BadRequest("candidate_labels", "an array of labels", "nothing")
    return labels


def _shown(value: Json) -> str:
    """What was given, in a message: short, and never the caller's text."""
    return json_type(value) if isinstance(value, str) else shortened(repr(value))


_MOST = 2**63 - 1
"""Beyond it no library underneath takes a number."""
_MOST_WHOLE = 2**31 - 1
_BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, _MOST),
    "length_penalty": (-10, 10),
    **dict.fromkeys(("temperature", "repetition_penalty", "encoder_repetition_penalty"), (1e-6, 1e6)),
    **dict.fromkeys(("diversity_penalty", "frequency_penalty", "presence_penalty"), (-1000, 1000)),
}
"""Beyond them scores are no numbers any more: a length to the power of 100, a score divided by 1e-40."""


def _anything(value: Json) -> bool:
    return True


def _is_whole(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value <= _MOST


def _is_number(value: Json) -> bool:
    """Not NaN or infinity, which JSON's 1e400 becomes, nor an integer that no float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST


def _is_token(value: Json) -> bool:
    return _is_whole(value) and 0 <= value <= _MOST_WHOLE


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_pair(value: Json) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _are_texts(value: Json) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_text, value))


def _takes_a_label(value: Json) -> bool:
    """Whether `value.format(label)` has the label in it, once per label and as it is."""
    if not _is_text(value):
        return False
    from string import Formatter

    try:
        fields = [field[1:] for field in Formatter().parse(value) if field[1] is not None]
    except ValueError:  # a brace that is alone
        return False
    return fields == [("", "", None)] or (bool(fields) and set(fields) == {("0", "", None)})


def _whole_from(least: int) -> tuple[str, Check]:
    return f"a whole number of at least {least}", lambda value: _is_whole(value) and value >= least


def _one_of(*choices: object) -> tuple[str, Check]:
    words = ", ".join(str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices)
    return f"one of {words}", lambda value: any(
        type(value) is type(choice) and value == choice for choice in choices
    )


_TOOL_CHOICES = ("none", "auto", "required")
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
    lambda value: isinstance(value, list) and all(map(_is_token, value)),
)
_TOKEN = ("a token id", lambda value: _is_token(value))
_END = ("a token id or an array of them", lambda value: _is_token(value) or _TOKEN_IDS[1](value))

_VALUES: dict[str, tuple[str, Check]] = {
    **dict.fromkeys(
        ("top_k", "top_n", "max_length", "max_new_tokens", "num_beams", "num_beam_groups"), _whole_from(1)
    ),
    **dict.fromkeys(("num_return_sequences", "max_answer_len", "max_seq_len"), _whole_from(1)),
    **dict.fromkeys(("max_question_len",), _whole_from(1)),
    **dict.fromkeys(("min_length", "min_new_tokens", "no_repeat_ngram_size", "seed"), _whole_from(0)),
    **dict.fromkeys(("encoder_no_repeat_ngram_size", "doc_stride", "stride"), _whole_from(0)),
    **dict.fromkeys(("do_sample", "multi_label", "normalize", "handle_impossible_answer"), _SWITCH),
    **dict.fromkeys(("align_to_words", "return_documents"), _SWITCH),
    **dict.fromkeys(("return_full_text", "clean_up_tokenization_spaces", "is_split_into_words"), _SWITCH),
    **dict.fromkeys(("temperature", "repetition_penalty", "encoder_repetition_penalty"), _ABOVE_ZERO),
    **dict.fromkeys(("top_p", "min_p"), _SHARE),
    "typical_p": ("a number above 0 and at most 1", lambda value: _is_number(value) and 0 < value <= 1),
    **dict.fromkeys(("threshold", "mask_threshold", "overlap_mask_area_threshold"), _SHARE),
    **dict.fromkeys(("pool", "return_language"), _SWITCH),
    **dict.fromkeys(("language", "prompt"), _TEXT),
    **dict.fromkeys(("chunk_length_s", "timeout"), _ABOVE_ZERO),
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
    "adapter": ('a Hub repository, adapter="org/name"', is_repo_id),
    "adapter_revision": _TEXT,
    "sequence_bias": (
        "an array of pairs of token ids and a number",
        lambda value: (
            isinstance(value, list)
            and bool(value)
            and all(
                isinstance(pair, list)
                and len(pair) == 2
                and pair[0]
                and _TOKEN_IDS[1](pair[0])
                and _is_number(pair[1])
                for pair in value
            )
        ),
    ),
    "parallel_tool_calls": _SWITCH,
    "response_format": (
        'an object {"type": "json_schema", "json_schema": {"schema": ...}} or {"type": "json_object"}',
        lambda value: isinstance(value, dict) and value.get("type") in ("text", "json_object", "json_schema"),
    ),
    "tool_choice": (
        'none, auto, required or {"type": "function", "function": {"name": ...}}',
        lambda value: value.get("type") == "function" if isinstance(value, dict) else value in _TOOL_CHOICES,
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
        lambda value: isinstance(value, list) and all(each and _TOKEN_IDS[1](each) for each in value),
    ),
    "early_stopping": _one_of(True, False, "never"),
    "truncation": _one_of(True, False, "longest_first", "only_first", "only_second", "do_not_truncate"),
    "truncation_side": _one_of("left", "right"),
    "aggregation_strategy": _one_of("none", "simple", "first", "average", "max"),
    "function_to_apply": _one_of("sigmoid", "softmax", "none", "default"),
    "function_to_apply of a ranking": _one_of("sigmoid", "none", "default"),
    "pooling": _one_of(*POOLINGS),
    "prompt_name": _TEXT,
    "prompt of an embedding": ("text", lambda value: isinstance(value, str)),
    "tokenizer_kwargs": (
        "an object of truncation and max_length",
        lambda value: (
            isinstance(value, dict)
            and bool(value)
            and set(value) <= {"truncation", "max_length"}
            and all(_VALUES[name][1](each) for name, each in value.items())
        ),
    ),
    "tokenize_kwargs": (
        "an object of truncation, max_length and padding",
        lambda value: (
            isinstance(value, dict)
            and bool(value)
            and set(value) <= {*_LENGTHS, "padding"}
            and value.get("padding") != "max_length"
            and all(_VALUES[name][1](each) for name, each in value.items())
        ),
    ),
    "batch_size": _whole_from(1),
    "num_workers": _whole_from(0),
    "padding": _one_of(True, False, "longest", "max_length", "do_not_pad"),
    "return_all_scores": _SWITCH,
    "return_tensors": _one_of(False),
    "delimiter": ("text", lambda value: isinstance(value, str)),
    "ignore_labels": (
        "an array of labels",
        lambda value: isinstance(value, list) and all(isinstance(label, str) for label in value),
    ),
    "hypothesis_template": ("text with {} where the label goes", _takes_a_label),
}
