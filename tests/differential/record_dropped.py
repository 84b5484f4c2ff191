"""Records what transformers 4 answers for the tasks that transformers 5 dropped, as dropped.json beside it.

    pip install --no-deps --target FOLDER 'transformers==4.57.*' 'huggingface_hub<1' 'tokenizers<0.23'
    python -m tests.differential.record_dropped FOLDER

The tiny models are built here, from seeds; transformers 4 loads them in a process of its own, where FOLDER
comes before everything else, and answers every call. `dropped_calls.py` lists the calls. Each names its
number of beams: the pipelines of transformers 4.57 take four where the call says none, whatever the
model's own number is.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.differential.dropped_calls import CALLS, FAMILIES, Call, build

RECORD = Path(__file__).with_name("dropped.json")
JUDGE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch, transformers
torch.set_num_threads(1)
transformers.utils.logging.set_verbosity_error()
asked = json.load(open(sys.argv[1]))
pipelines, answers = {}, []
for call in asked:
    key = (call["task"], call["folder"])
    if key not in pipelines:
        pipelines[key] = transformers.pipeline(call["task"], model=call["folder"], device="cpu")
    given = call["given"]
    arguments = [given] if isinstance(given, (str, list)) else []
    named = {} if arguments else given
    try:
        answer = pipelines[key](*arguments, **named, **call["parameters"])
    except Exception as error:
        answer = {"error": type(error).__name__}
    answers.append(answer)
json.dump({"transformers": transformers.__version__, "answers": answers}, open(sys.argv[2], "w"))
"""


def weights_of(folder: Path) -> str:
    """What tells whether a model is the one that was recorded: its weights and the words that it knows."""
    names = ("model.safetensors", "tokenizer.json", "vocab.json", "sentencepiece.bpe.model")
    digest = hashlib.sha256()
    for path in (folder / name for name in names):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def main(arguments: list[str]) -> None:
    environment = Path(arguments[0]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folders = {family: build(family, root / family) for family in FAMILIES}
        for folder in folders.values():
            _as_before(folder / "tokenizer_config.json")
        asked = [{**_asked(call), "folder": str(folders[call.family])} for call in CALLS]
        (root / "asked.json").write_text(json.dumps(asked))
        (root / "judge.py").write_text(JUDGE)
        command = [sys.executable, str(root / "judge.py"), str(root / "asked.json"), str(root / "told.json")]
        variables = {**os.environ, "PYTHONPATH": str(environment), "HF_HUB_OFFLINE": "1"}
        subprocess.run(command, env=variables, cwd=root, check=True)
        told = json.loads((root / "told.json").read_text())
        record = {
            "transformers": told["transformers"],
            "weights": {family: weights_of(folder) for family, folder in folders.items()},
            "calls": [
                {"family": call.family, **_asked(call), "answer": answer}
                for call, answer in zip(CALLS, told["answers"], strict=True)
            ],
        }
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _as_before(path: Path) -> None:
    """Call the special tokens of a tokenizer what transformers 4 calls them."""
    config = json.loads(path.read_text())
    if isinstance(more := config.pop("extra_special_tokens", None), list):
        config["additional_special_tokens"] = more
    path.write_text(json.dumps(config))


def _asked(call: Call) -> dict[str, Any]:
    return {"task": call.task, "given": call.given, "parameters": call.parameters}


if __name__ == "__main__":
    main(sys.argv[1:])
