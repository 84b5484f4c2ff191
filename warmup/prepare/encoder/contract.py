"""The contract of an encoder: what serving needs of its config, and its tokenizer as transformers runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_lambda import ranking
from hf_lambda.onnx_engine.contract import MASK_INDEX_INPUT, EncoderContract, SpecialTokens
from hf_lambda.sentence_embedding import WEIGHTS, EmbeddingRules, NotUnderstood, read_rules, read_text_rules
from hf_lambda.torch_engine.loading import dense_weights

from ..request import NotPrepared

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

_NO_LIMIT = 1_000_000
"""transformers writes 10**30 where a tokenizer has no maximum."""
_RELATIVE = ("deberta-v2", "modernbert")
"""Families whose positions have no table that could end."""
_OFFSET = ("camembert", "mpnet", "roberta", "xlm-roberta")
"""Families that count positions from the padding id on."""


def contract_of(
    head: str, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, inputs: Sequence[str]
) -> EncoderContract:
    """The contract of a model whose graph has `inputs`."""
    return EncoderContract(
        head=head,
        model_type=config.model_type,
        inputs=tuple(name for name in inputs if name != MASK_INDEX_INPUT),
        max_length=tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else None,
        max_position=_max_position(config),
        tokenizer=_special_tokens(tokenizer),
        labels=tuple(config.id2label[index] for index in range(config.num_labels)),
        problem_type=config.problem_type,
        entailment_id=_entailment_id(config),
    )


def with_embedding(contract: EncoderContract, snapshot: Path, folder: Path) -> EncoderContract:
    """`contract` with what sentence-transformers makes of `snapshot`; its dense layers go into `folder`.

    What is not understood keeps no model from being prepared: its token vectors are what they are.
    """
    try:
        rules = read_rules(snapshot)
        weights = dense_weights(snapshot, rules)
    except NotUnderstood as problem:
        return replace(contract, embedding=_text_rules(snapshot), embedding_problem=str(problem))
    if weights:
        np.savez(folder / WEIGHTS, **weights)
    return replace(contract, embedding=rules)


def with_ranking(contract: EncoderContract, snapshot: Path) -> EncoderContract:
    """`contract` with what CrossEncoder of sentence-transformers makes of `snapshot`, or why it does not."""
    try:
        return replace(contract, ranking=ranking.read_rules(snapshot))
    except NotUnderstood as problem:
        return replace(contract, ranking_problem=str(problem))


def _text_rules(snapshot: Path) -> EmbeddingRules | None:
    try:
        return read_text_rules(snapshot)
    except NotUnderstood:
        return None


def write_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write `tokenizer.json`, without the truncation and padding that an earlier use may have left.

    Written from what transformers runs: it changes what the snapshot's tokenizer.json says.
    Raises NotPrepared where the tokenizer has no fast version.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise NotPrepared(
            f"{type(tokenizer).__name__} has no fast version: its texts cannot be split the same way"
        )
    backend.no_truncation()
    backend.no_padding()
    (folder / "tokenizer.json").write_text(backend.to_str())


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    names = ("pad", "mask", "cls", "sep", "unk", "bos", "eos")
    return SpecialTokens(
        **{f"{name}_id": getattr(tokenizer, f"{name}_token_id", None) for name in names},
        mask_token=getattr(tokenizer, "mask_token", None),
        special_ids=tuple(sorted(set(tokenizer.all_special_ids))),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        cleanup=_cleans_up(tokenizer),
    )


def _cleans_up(tokenizer: PreTrainedTokenizerBase) -> bool:
    """transformers ignores the setting for byte-pair vocabularies, whose spaces are part of the tokens."""
    if type(tokenizer.backend_tokenizer.model).__name__ == "BPE":
        forced = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
        return bool(tokenizer.clean_up_tokenization_spaces and getattr(tokenizer, forced, False))
    return bool(tokenizer.clean_up_tokenization_spaces)


def _max_position(config: PreTrainedConfig) -> int | None:
    if config.model_type in _RELATIVE:
        return None
    table: int = config.max_position_embeddings
    return table - config.pad_token_id - 1 if config.model_type in _OFFSET else table


def _entailment_id(config: PreTrainedConfig) -> int:
    """As transformers finds it: the first label that starts with "entail", else the last output."""
    found = (index for label, index in config.label2id.items() if label.lower().startswith("entail"))
    return next(found, -1)
