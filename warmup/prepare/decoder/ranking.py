"""Language models that rank: the same graph with the one number that their answer is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import transformers

from hf_lambda.onnx_engine.contract import write_contract
from hf_lambda.ranking import Question, RankingRules, not_a_ranker, read_rules
from hf_lambda.sentence_embedding import NotUnderstood
from hf_lambda.torch_engine.text_ranking import of_tokenizer

from ...protocol.errors import ErrorKind
from ..encoder import reference
from ..encoder.contract import contract_of, write_tokenizer
from ..loading import load_config, load_tokenizer
from ..outcome import PrepareFailed
from ..request import PrepareRequest
from ..samples import Sample
from .architecture import architecture_of
from .reference import Layered

_INPUTS, _OUTPUT = ("input_ids",), "logits"


def export(request: PrepareRequest, work: Path) -> None:
    """Write tokenizer.json and serving.json into `export/`, and transformers' answers into `work`.

    Raises NotPrepared for a variant of a family whose graph would not come out the same, PrepareFailed for a
    model that ranks nothing.
    """
    transformers.utils.logging.disable_progress_bar()
    config = load_config(request.snapshot)
    shape = architecture_of(config)
    tokenizer = load_tokenizer(request.snapshot)
    # Many say nothing of a maximum, and none knows where the graph's rotations end.
    tokenizer.model_max_length = min(tokenizer.model_max_length, shape.positions)
    folder = work / "export"
    write_tokenizer(folder, tokenizer)
    rules = rules_of(request.snapshot)
    contract = replace(
        contract_of(request.head, tokenizer, config, _INPUTS),
        max_position=shape.positions,
        labels=("LABEL_0",),
        problem_type=None,
        ranking=rules,
        is_causal=True,
        cache_bytes=shape.cache_bytes,
    )
    write_contract(contract, folder)
    model, tokens = Layered(request.snapshot), judged_tokens(request.snapshot)

    def answer(input_ids: torch.Tensor) -> Mapping[str, torch.Tensor]:
        said = model.scores(model.hidden(input_ids[0].tolist())[-1:], tokens)
        return {_OUTPUT: torch.from_numpy(said[:, :1] - said[:, 1:] if len(tokens) > 1 else said)}

    def encode(sample: Sample) -> reference.Encoding:
        limit = reference.max_tokens(tokenizer.model_max_length)
        question = Question(rules, lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"])
        [(ids, _)] = question.tokens([(sample[0], sample[1])], limit, tokenizer.truncation_side)
        return reference.Encoding(ids, [1] * len(ids), [0] * len(ids))

    own = encode if rules.asks else None
    reference.write(request, work, tokenizer, answer, _INPUTS, (_OUTPUT,), encode=own)


def rules_of(snapshot: Path) -> RankingRules:
    """With what the tokenizer says. Raises PrepareFailed for a model that ranks nothing."""
    try:
        return of_tokenizer(read_rules(snapshot), load_tokenizer(snapshot))
    except NotUnderstood as problem:
        raise PrepareFailed(not_a_ranker(str(problem)).message, ErrorKind.UNTRAINED_HEAD) from problem


def judged_tokens(snapshot: Path) -> tuple[int, ...]:
    judge = rules_of(snapshot).judge
    return judge.tokens if judge else ()
