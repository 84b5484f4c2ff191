"""Random LoRA adapters of tiny language models, written as peft saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import transformers

CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.1,
    "bias": "none",
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "target_modules": ["q_proj", "down_proj"],
    "use_dora": False,
    "inference_mode": True,
}


def write_adapter(
    folder: Path, base: Path, modules: tuple[str, ...], ranks: Any = None, **config: Any
) -> Path:
    """An adapter of all layers' `modules` in `folder`. ranks: by the name that a module ends with."""
    folder.mkdir(parents=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    random, tensors = np.random.default_rng(0), {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in modules:
            continue
        rank = next((rank for end, rank in (ranks or {}).items() if name.endswith(end)), 4)
        rows, columns = module.weight.shape
        for half, shape in (("A", (rank, columns)), ("B", (rows, rank))):
            tensors[f"base_model.model.{name}.lora_{half}.weight"] = random.normal(0, 0.2, shape).astype("f4")
    safetensors.numpy.save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    given = {**CONFIG, "base_model_name_or_path": str(base), "target_modules": [*modules], **config}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    return folder
