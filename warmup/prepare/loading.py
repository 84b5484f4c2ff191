"""Loading what is to be prepared, as the torch engine loads it: never with code of the repository."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.auto_factory import _BaseAutoModelClass

from hf_lambda.errors import UntrainedHead, WrongTokenizer
from hf_lambda.torch_engine import loading

from ..protocol.errors import ErrorKind
from .request import NotPrepared, PrepareFailed, PrepareRequest, config_of


def check_family(request: PrepareRequest, families: Collection[str]) -> None:
    """Raises NotPrepared for a `model_type` that is not one of `families`; reads config.json alone."""
    family = config_of(request.snapshot).get("model_type")
    if family is not None and family not in families:
        known = ", ".join(sorted(families))
        raise NotPrepared(f"{family} models are not prepared for {request.task}; these are: {known}")


def load_model(auto_class: type[_BaseAutoModelClass], snapshot: Path, **options: object) -> PreTrainedModel:
    """The model in fp32.

    Raises PrepareFailed where the repository has not what the task needs: no engine could answer from it.
    """
    try:
        return loading.load_model(auto_class, snapshot, **options)
    except UntrainedHead as error:
        raise PrepareFailed(error.message, ErrorKind.UNTRAINED_HEAD) from error


def load_tokenizer(snapshot: Path) -> PreTrainedTokenizerBase:
    """The tokenizer. Raises PrepareFailed where the repository has none, or another model's."""
    try:
        return loading.load_tokenizer(snapshot)
    except WrongTokenizer as error:
        raise PrepareFailed(error.message, ErrorKind.NO_TOKENIZER) from error


def load_config(snapshot: Path) -> PreTrainedConfig:
    return AutoConfig.from_pretrained(snapshot, local_files_only=True, trust_remote_code=False)
