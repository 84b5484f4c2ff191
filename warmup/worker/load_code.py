"""`python -m warmup.worker.load_code {...}`: loads a model by code of its repository, or fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from discovery.imports import ANY_TASK
from hf_lambda.remote_code import Consent
from hf_lambda.tasks import TASKS, base_of


def main(arguments: list[str]) -> None:
    asked = json.loads(arguments[0])
    snapshot, consent = Path(asked["snapshot"]), Consent(asked["code_revision"])
    if asked["task"] != ANY_TASK and _base(asked["task"]) in TASKS:
        from hf_lambda.torch_engine import load

        load(asked["task"], snapshot, consent)
        return
    # Which of its classes a plain script loads is not known; its config is loaded with every one of them.
    import transformers

    from hf_lambda.torch_engine.code import code_options, consent_to_code

    with consent_to_code(consent):
        transformers.AutoConfig.from_pretrained(str(snapshot), local_files_only=True, **code_options())


def _base(task: str) -> str:
    try:
        return base_of(task)
    except ValueError:
        return task


if __name__ == "__main__":
    main(sys.argv[1:])
