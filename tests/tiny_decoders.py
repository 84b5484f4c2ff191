"""Tiny decoder-only models of every family, with weights large enough that their answers vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from hf_lambda.onnx_engine.contract import DecoderContract, write_contract
from hf_lambda.onnx_engine.decoder.model import GRAPH
from warmup.prepare.decoder.architecture import architecture_of, rotations
from warmup.prepare.decoder.contract import write_tokenizer_and_contract
from warmup.prepare.decoder.export import export_graph
from warmup.prepare.decoder.graph import Written, write_graph
from warmup.prepare.decoder.tensors import open_model
from warmup.prepare.request import PrepareRequest
from warmup.prepare.samples import LONG, SENTENCES

_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
    "long_factor": [2.0] * 8,
    "original_max_position_embeddings": 128,
    "partial_rotary_factor": 1.0,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma": ("gemma", {}),
    "gemma2": ("gemma2", {"sliding_window": 5, "query_pre_attn_scalar": 24}),
    "gemma3": (
        "gemma3_text",
        {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"] * 2},
    ),
    "gemma3-scaled": (
        "gemma3_text",
        {"sliding_window": 5, "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
    ),
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama-biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3": ("llama", {"rope_parameters": _LLAMA3, "tie_word_embeddings": True}),
    "mistral": ("mistral", {"sliding_window": 6}),
    "mistral-unbounded": ("mistral", {"sliding_window": None}),
    "olmo2": ("olmo2", {}),
    "phi3": ("phi3", {"sliding_window": 7}),
    "phi3-longrope": (
        "phi3",
        {"rope_parameters": _LONGROPE, "original_max_position_embeddings": 128},
    ),
    "phi4": ("phi3", {"partial_rotary_factor": 0.5, "tie_word_embeddings": True, "head_dim": 32}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2-yarn": ("qwen2", {"rope_parameters": _YARN}),
    "qwen3": ("qwen3", {}),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 2}),
}
"""`model_type` and what its config has beside the common sizes."""


def random_model(family: str, vocabulary: int, *, seed: int = 0, **config: Any) -> Any:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(seed)
    model_type, own = FAMILIES[family]
    made = transformers.AutoConfig.for_model(
        model_type, **{**_SIZES, "vocab_size": vocabulary, **own, **config}
    )
    model = transformers.AutoModelForCausalLM.from_config(made, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15 if "embed" in name or "lm_head" in name else 0.3)
            elif is_norm:  # a weight of a norm that nobody sees is a weight that nobody tests
                parameter.add_(torch.randn_like(parameter) * 0.2)
            else:
                parameter.normal_(0, 0.3)
    return model.eval()


def write(family: str, folder: Path, vocabulary: int = 160, *, precision: str = "fp32", **config: Any) -> Any:
    """Save a random model in `folder` with its graph beside it, and return it."""
    model = random_model(family, vocabulary, **config)
    model.save_pretrained(folder)
    write_decoder(folder, folder, precision)
    return model


def write_decoder(snapshot: Path, folder: Path, precision: str, **options: Any) -> Written:
    shape, tensors = open_model(snapshot)
    tables = rotations(transformers.AutoConfig.from_pretrained(snapshot), shape.positions)
    return write_graph(tensors, shape, tables, folder / GRAPH, precision, **options)


TEMPLATE = (
    "{%- if tools %}"
    "{{- '<|im_start|>system\\nAnswer, or <tool_call>name and arguments</tool_call>: ' }}"
    "{{- tools | tojson + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role not in ['system', 'user', 'assistant', 'tool'] %}"
    "{{- raise_exception('Only system, user and assistant speak here, not ' + message.role) }}"
    "{%- endif %}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}"
    "{%- for call in message.tool_calls %}"
    "{{- '\\n<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}"
    "{%- endfor %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def snapshot(family: str, folder: Path, *, also: Sequence[str] = (), **config: Any) -> Path:
    """Save a random model of `family` with a tokenizer and a chat template, as the Hub would hold it.

    also: texts that the tokenizer is made of beside its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([*SENTENCES, LONG, *also], vocab_size=500, special_tokens=list(_SPECIAL))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    model = random_model(family, len(tokenizer), **{**ids, **config})
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    return folder


def prepared(snapshot_folder: Path, folder: Path, precision: str = "fp32") -> Path:
    """The folder that serving reads, without the gate."""
    folder.mkdir(parents=True, exist_ok=True)
    request = PrepareRequest("text-generation", "org/tiny", "0" * 40, snapshot_folder)
    written = export_graph(request, folder, precision)
    config = transformers.AutoConfig.from_pretrained(snapshot_folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(snapshot_folder)
    write_tokenizer_and_contract(folder, request, tokenizer, config, architecture_of(config))
    prefetch = {f"{GRAPH}.data": written.dense}
    write_contract(replace(DecoderContract.read(folder), prefetch=prefetch), folder)
    return folder
