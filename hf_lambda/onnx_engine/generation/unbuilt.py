"""Options of transformers that are not built here: which values change nothing, and which must be refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

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


def unsupported(options: Mapping[str, Any], supported: Collection[str]) -> str | None:
    """Name of the first option that would change the result and is not `supported`, or None."""
    for name, value in options.items():
        if value is None or name in supported or name in WITHOUT_EFFECT:
            continue
        if not any(value == neutral and type(value) is type(neutral) for neutral in NEUTRAL.get(name, ())):
            return name
    return None
