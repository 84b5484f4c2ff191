"""What `pipeline(...)` and its calls take, per task; both are checked before anything heavy loads."""

from __future__ import annotations

from .tasks import base_of

ENGINES = ("auto", "onnx", "torch")
PRECISIONS = ("auto", "fp32", "int8")
_LANGUAGE_MODEL_PRECISIONS = (*PRECISIONS, "int4")
POOLINGS = ("mean", "cls")

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

OWN_OPTIONS = ("task", "model", "revision", "engine", "precision", "samples")

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
    "trust_remote_code": (None, False),
    "model_kwargs": (None, {}),
    "pipeline_class": (None,),
    "batch_size": (None, 1),
    "num_workers": (None, 0, 1),
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
_SEQ2SEQ = (*GENERATION, "truncation", "clean_up_tokenization_spaces")
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
    "question-answering": (
        "top_k",
        "doc_stride",
        "max_answer_len",
        "max_seq_len",
        "max_question_len",
        "handle_impossible_answer",
    ),
    "fill-mask": ("top_k", "targets", "tokenizer_kwargs", *_LENGTHS),
    "feature-extraction": ("truncation", "max_length", "pooling", "normalize"),
    "zero-shot-classification": ("candidate_labels", "hypothesis_template", "multi_label"),
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
    ),
    "summarization": _SEQ2SEQ,
    "translation": (*_SEQ2SEQ, "src_lang", "tgt_lang"),
    "text2text-generation": _SEQ2SEQ,
    "image-classification": ("top_k", "function_to_apply"),
    "image-feature-extraction": ("pool",),
    "image-segmentation": ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold"),
    "object-detection": ("threshold",),
    "depth-estimation": (),
    "zero-shot-image-classification": _LABELLED,
    "zero-shot-object-detection": ("candidate_labels", "threshold", "top_k"),
    "keypoint-matching": ("threshold",),
    "document-question-answering": (
        "top_k",
        "doc_stride",
        "max_answer_len",
        "max_seq_len",
        "max_question_len",
        "handle_impossible_answer",
    ),
    "image-text-to-text": (*GENERATION, "return_full_text"),
    "audio-classification": ("top_k", "function_to_apply"),
    "automatic-speech-recognition": (
        *GENERATION,
        "language",
        "task",
        "prompt",
        "return_timestamps",
        "return_language",
        "chunk_length_s",
        "stride_length_s",
    ),
    "zero-shot-audio-classification": _LABELLED,
    "text-to-audio": ("seed", "do_sample", "temperature", "max_new_tokens"),
    "decision": (),
}


DECLARED = {"text-generation": ("max_context",)}
"""What a declaration takes beside the defaults of its calls."""


def precisions_of(task: str) -> tuple[str, ...]:
    return _LANGUAGE_MODEL_PRECISIONS if base_of(task) == "text-generation" else PRECISIONS


def declared_of(task: str) -> tuple[str, ...]:
    """Names of everything that `pipeline(task, ...)` hands to its engine."""
    return (*parameters_of(task), *DECLARED.get(base_of(task), ()))


def parameters_of(task: str) -> tuple[str, ...]:
    """Parameters of a call, and defaults for them at construction."""
    return PARAMETERS[base_of(task)]


def option_problem(task: str, name: str, value: object) -> str | None:
    """Why `pipeline(task, name=value)` is refused, or None."""
    if name in OWN_OPTIONS or name in declared_of(task):
        return None
    if name in IGNORED:
        if any(value is allowed or value == allowed for allowed in IGNORED[name]):
            return None
        return f"`{name}={value!r}` is not supported here: leave it out"
    known = ", ".join([*OWN_OPTIONS, *declared_of(task)])
    return f"`{name}` is not an option of {task}; it takes {known}"
