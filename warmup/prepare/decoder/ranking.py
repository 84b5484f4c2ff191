"""Language models that rank: the same graph with the one number that their answer is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from hf_lambda.onnx_engine.contract import write_contract
from hf_lambda.ranking import Question, RankingRules, not_a_ranker, read_rules
from hf_lambda.sentence_embedding import NotUnderstood
from hf_lambda.torch_engine.text_ranking import of_tokenizer

from ...protocol.errors import ErrorKind
from ..encoder import reference
from ..request import PrepareFailed, PrepareRequest
from ..samples import Sample
from .contract import CAUSAL_INPUTS, write_tokenizer_of_encoder
from .reference import Layered

_OUTPUT = "logits"


def export(request: PrepareRequest, work: Path) -> None:
    """Write tokenizer.json and serving.json into `export/`, and transformers' answers into `work`.

    Raises NotPrepared for a variant of a family whose graph would not come out the same, PrepareFailed for a
    model that ranks nothing.
    """
    folder = work / "export"
    tokenizer, contract = write_tokenizer_of_encoder(request, folder)
    rules = _rules_of(request.snapshot, tokenizer)
    write_contract(replace(contract, labels=("LABEL_0",), problem_type=None, ranking=rules), folder)
    model, tokens = Layered(request.snapshot), rules.judge.tokens if rules.judge else ()

    def answer(input_ids: torch.Tensor) -> Mapping[str, torch.Tensor]:
        said = model.scores(model.hidden(input_ids[0].tolist())[-1:], tokens)
        return {_OUTPUT: torch.from_numpy(said[:, :1] - said[:, 1:] if len(tokens) > 1 else said)}

    own = partial(_encode, Question(rules), tokenizer) if rules.asks else None
    reference.write(request, work, tokenizer, answer, CAUSAL_INPUTS, (_OUTPUT,), encode=own)


def _rules_of(snapshot: Path, tokenizer: PreTrainedTokenizerBase) -> RankingRules:
    """Raises PrepareFailed for a model that ranks nothing."""
    try:
        return of_tokenizer(read_rules(snapshot), tokenizer)
    except NotUnderstood as problem:
        raise PrepareFailed(not_a_ranker(str(problem)).message, ErrorKind.UNTRAINED_HEAD) from problem


def _encode(question: Question, tokenizer: PreTrainedTokenizerBase, sample: Sample) -> reference.Encoding:
    def split(texts: list[str]) -> list[list[int]]:
        return list(tokenizer(texts, add_special_tokens=False)["input_ids"])

    limit = reference.max_tokens(tokenizer.model_max_length)
    [(ids, _)] = question.tokens([(sample[0], sample[1])], limit, tokenizer.truncation_side, split)
    return reference.Encoding(ids, [1] * len(ids), [0] * len(ids))
