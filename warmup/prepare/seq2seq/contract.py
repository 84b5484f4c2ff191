"""The contract of an encoder-decoder: its generation options, and how its text becomes ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_lambda.onnx_engine.contract import Seq2SeqContract, SurroundingTokens, TextRules, write_contract
from hf_lambda.onnx_engine.generation.options import InvalidOptionError, UnsupportedOptionError, resolve
from hf_lambda.onnx_engine.seq2seq_tokenizer import Seq2SeqTokenizer
from hf_lambda.onnx_engine.tokenizer import load_tokenizer
from hf_lambda.torch_engine.seq2seq import language_codes

from ..request import NotPrepared, PrepareRequest
from ..samples import LONG, SENTENCES
from .tokenizer import served_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NO_LIMIT = 1_000_000
"""transformers writes 10**30 where a tokenizer has no maximum."""
_UNBOUNDED = ("m2m_100", "mt5", "t5")
"""Families whose positions are relative or computed, and never end."""


def write_tokenizer_and_contract(
    folder: Path, request: PrepareRequest, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> Seq2SeqContract:
    """Write tokenizer.json and serving.json into `folder`, and return what the latter says.

    Raises NotPrepared where the model's generation options or its tokenizer would come out otherwise.
    """
    served, size = served_tokenizer(tokenizer)
    (folder / "tokenizer.json").write_text(served.to_str())
    contract = contract_of(request.head, tokenizer, model, size)
    _check_options(request, contract)
    write_contract(contract, folder)
    own = [sample for sample in request.samples or () if isinstance(sample, str)]
    _check_tokenizer(folder, contract, tokenizer, own)
    return contract


def contract_of(
    head: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, size: int | None
) -> Seq2SeqContract:
    """size: the first id of the served tokenizer that is not the model's; None: all are."""
    config = model.config
    specific = getattr(config, "task_specific_params", None) or {}
    generation = model.generation_config.to_dict()
    return Seq2SeqContract(
        head=head,
        model_type=config.model_type,
        max_length=tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else None,
        max_position=None if config.model_type in _UNBOUNDED else config.max_position_embeddings,
        vocabulary=model.get_output_embeddings().out_features,
        pad_id=tokenizer.pad_token_id,
        unk_id=tokenizer.unk_token_id,
        truncation_side=tokenizer.truncation_side,
        generation={name: value for name, value in generation.items() if value is not None},
        task_specific={task: dict(given) for task, given in specific.items()},
        prefix=getattr(config, "prefix", None) or "",
        text=_text_rules(tokenizer, size),
    )


def _check_options(request: PrepareRequest, contract: Seq2SeqContract) -> None:
    try:
        resolve(contract.options_of(request.task), {}, max_position=contract.max_position)
    except (UnsupportedOptionError, InvalidOptionError) as error:
        raise NotPrepared(f"{request.repo_id} ships what the decoding loop does not do: {error}") from error


def _text_rules(tokenizer: PreTrainedTokenizerBase, size: int | None) -> TextRules:
    is_rebuilt = size is not None
    is_marian = is_rebuilt and hasattr(tokenizer, "supported_language_codes")
    languages = {}
    if build := getattr(tokenizer, "_build_translation_inputs", None):
        own = tokenizer.src_lang
        for code in language_codes(tokenizer):
            built = build([SENTENCES[0]], src_lang=code, tgt_lang=code, return_tensors=None)
            languages[code] = _surrounding(
                list(built["input_ids"][0]), tokenizer, int(built["forced_bos_token_id"])
            )
        tokenizer.src_lang = own  # what a text that is not translated gets
    return TextRules(
        default=_surrounding(list(tokenizer(SENTENCES[0])["input_ids"]), tokenizer),
        size=size,
        surface=is_marian,
        leading_code=is_marian,
        can_clean_up=is_rebuilt or type(tokenizer.backend_tokenizer.model).__name__ != "BPE",
        languages=languages,
    )


def _surrounding(
    ids: list[int], tokenizer: PreTrainedTokenizerBase, forced_bos: int | None = None
) -> SurroundingTokens:
    """The special tokens before and after the text in `ids`, that of the first sample."""
    content = list(tokenizer(SENTENCES[0], add_special_tokens=False)["input_ids"])
    for start in range(len(ids) - len(content) + 1):
        if ids[start : start + len(content)] == content:
            return SurroundingTokens(tuple(ids[:start]), tuple(ids[start + len(content) :]), forced_bos)
    raise NotPrepared(f"{type(tokenizer).__name__} changes a text that it puts special tokens around")


def _check_tokenizer(
    folder: Path, contract: Seq2SeqContract, tokenizer: PreTrainedTokenizerBase, own: list[str]
) -> None:
    """The served tokenizer must split, and put together again, every sample as transformers' does.

    own: the user's samples, beside those that are built in.
    """
    text = Seq2SeqTokenizer(load_tokenizer(folder), contract)
    samples = [*SENTENCES, LONG, "", " two  spaces ", "a\n\nb", ">>fr<< Hello.", *own]
    name = type(tokenizer).__name__
    expected = [list(tokenizer(sample)["input_ids"]) for sample in samples]
    for sample, ids, wanted in zip(samples, text.encode(samples), expected, strict=True):
        if ids != wanted:
            raise NotPrepared(f"the served tokenizer splits {sample[:40]!r} otherwise than {name}")
        if text.decode(ids) != tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        ):
            raise NotPrepared(f"the served tokenizer puts {sample[:40]!r} together otherwise than {name}")
