"""Convert the benchmark models for the engines that a user might pick instead: OpenVINO and CTranslate2."""

from __future__ import annotations

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
