"""Which weights of a task a snapshot lacks: `python -m warmup.worker.untrained <snapshot> <task> ...`.

transformers compares the names; no weight is read, so it takes the memory of the libraries alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open

_CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
    "text-generation": "AutoModelForCausalLM",
    "summarization": "AutoModelForSeq2SeqLM",
    "translation": "AutoModelForSeq2SeqLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
    "image-classification": "AutoModelForImageClassification",
    "audio-classification": "AutoModelForAudioClassification",
    "object-detection": "AutoModelForObjectDetection",
}
_TASK_OF_ARCHITECTURE = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForPreTraining": "fill-mask",
    "LMHeadModel": "text-generation",
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "generating text from text",
    "ForImageClassification": "image-classification",
    "ForAudioClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForMultipleChoice": "multiple choice",
    "Model": "feature-extraction",
}
_CLASSIFIERS = (
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
)
"""Heads that call their weights by the same names, of the same shapes, and mean something else by each."""
_MOST = 0.5
"""Share of the body's weights that may be missing (an unused pooler, say) before it is another model's."""


def find_untrained(snapshot: Path, task: str) -> dict[str, Any] | None:
    """`missing`: names of weights, `trained_for`: a task, `other_head`: they are there, for that other task.

    None where all is there or nobody can tell.
    """
    if task not in _CLASSES:
        return None
    config = transformers.AutoConfig.from_pretrained(str(snapshot), trust_remote_code=False)
    mapping = getattr(transformers, _CLASSES[task])._model_mapping
    if type(config) not in mapping:
        return None
    model_class = mapping[type(config)]
    if isinstance(model_class, tuple):
        model_class = model_class[0]
    # Memory of these is never written, so the system never gives it.
    state = {name: torch.empty(shape) for name, shape in _shapes(snapshot)}
    model, loading = model_class.from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=torch.float32,
        trust_remote_code=False,
        output_loading_info=True,
    )
    parameters = {name for name, _ in model.named_parameters()}
    missing = sorted(set(loading["missing_keys"]) & parameters)
    body = f"{model.base_model_prefix}."
    in_body = [name for name in missing if name.startswith(body) or task == "feature-extraction"]
    head = [name for name in missing if name not in in_body]
    whole_body = sum(1 for name in parameters if name.startswith(body) or task == "feature-extraction")
    other_head = not head and _is_another_classifier(config, model_class)
    if other_head:
        head = sorted(name for name in parameters if not name.startswith(body))
    if not head and len(in_body) <= _MOST * whole_body:
        return None
    return {"missing": head or in_body, "trained_for": _trained_for(config), "other_head": other_head}


def _is_another_classifier(config: Any, model_class: type) -> bool:
    is_, wanted = (
        next((end for end in _CLASSIFIERS if name.endswith(end)), None)
        for name in (_architecture(config), model_class.__name__)
    )
    return is_ is not None and wanted is not None and is_ != wanted


def _architecture(config: Any) -> str:
    return str(next(iter(getattr(config, "architectures", None) or []), ""))


def _trained_for(config: Any) -> str | None:
    architecture = _architecture(config)
    found = (task for end, task in _TASK_OF_ARCHITECTURE.items() if architecture.endswith(end))
    task = next(found, None)
    return f"{task} ({architecture})" if task else None


def _shapes(snapshot: Path) -> Iterable[tuple[str, Any]]:
    for path in sorted(snapshot.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                yield name, file.get_slice(name).get_shape()
    if not list(snapshot.glob("*.safetensors")):
        for path in sorted(snapshot.glob("*.bin")):
            for name, tensor in torch.load(path, map_location="meta", weights_only=True, mmap=False).items():
                yield name, tensor.shape


def main(arguments: list[str]) -> None:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    snapshot, tasks = Path(arguments[0]), arguments[1:]
    found = {task: find_untrained(snapshot, task) for task in tasks}
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
