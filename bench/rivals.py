"""Convert the benchmark models for the engines that a user might pick instead."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path


def openvino(source: Path, target: Path) -> None:
    """DistilBERT as OpenVINO IR in fp32, inputs (ids, mask) of any batch and length, with its tokenizer."""
    if (target / "model.xml").exists():
        return
    import openvino as ov
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    example = {
        "input_ids": torch.ones(2, 8, dtype=torch.long),
        "attention_mask": torch.ones(2, 8, dtype=torch.long),
    }
    model.config.return_dict = False
    converted = ov.convert_model(model, example_input=example)
    ov.save_model(converted, target / "model.xml", compress_to_fp16=False)
    shutil.copy(source / "tokenizer.json", target)


def ctranslate2_distilbert(source: Path, target: Path) -> None:
    """DistilBERT's encoder in int8, and its classification head for numpy."""
    if (target / "head.npz").exists():
        return
    import numpy as np
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoModelForSequenceClassification

    TransformersConverter(str(source)).convert(str(target), quantization="int8", force=True)
    shutil.copy(source / "tokenizer.json", target)
    model = AutoModelForSequenceClassification.from_pretrained(source)
    np.savez(
        target / "head.npz",
        pre_weight=model.pre_classifier.weight.detach().numpy(),
        pre_bias=model.pre_classifier.bias.detach().numpy(),
        weight=model.classifier.weight.detach().numpy(),
        bias=model.classifier.bias.detach().numpy(),
    )


def ctranslate2_bart(source: Path, target: Path) -> None:
    """BART in int8; its config carries what the converter reads and transformers 5 no longer writes."""
    if (target / "tokenizer.json").exists():
        return
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source)).convert(str(target), quantization="int8", force=True)
    shutil.copy(source / "tokenizer.json", target)


def ctranslate2_language_model(source: Path, target: Path) -> None:
    """A language model in int8, with its tokenizer."""
    if (target / "tokenizer.json").exists():
        return
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source)).convert(str(target), quantization="int8", force=True)
    shutil.copy(source / "tokenizer.json", target)


def has_llama_cpp() -> bool:
    """Whether llama-cpp-python, which pip compiles, and gguf, which writes its files, are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("llama_cpp", "gguf"))


def llama_cpp_language_model(source: Path, target: Path) -> None:
    """A language model as GGUF in Q8_0, the format's own 8 bits, and its tokenizer beside it.

    Rows of queries and keys stay in transformers' order: with random weights it is as good as llama.cpp's.
    """
    if (target / "tokenizer.json").exists():
        return
    import gguf
    import torch
    from safetensors.torch import load_file

    config = json.loads((source / "config.json").read_text())
    target.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(target / "model.gguf", config["model_type"])
    heads = config["num_attention_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    names = gguf.get_tensor_name_map(
        getattr(gguf.MODEL_ARCH, config["model_type"].upper()), config["num_hidden_layers"]
    )
    for name, tensor in load_file(source / "model.safetensors").items():
        values = tensor.to(torch.float32).numpy()
        kind = gguf.GGMLQuantizationType.Q8_0 if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        named = names.get_name(name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(named, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shutil.copy(source / "tokenizer.json", target)
