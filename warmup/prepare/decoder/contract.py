"""Writing `serving.json` and `tokenizer.json` of a language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import transformers
from jinja2.exceptions import TemplateError
from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedTokenizerBase

from hf_lambda.errors import ServingError
from hf_lambda.onnx_engine.contract import DecoderContract, EncoderContract, write_contract
from hf_lambda.onnx_engine.decoder.chat import Template
from hf_lambda.onnx_engine.decoder.options import generation_of
from hf_lambda.onnx_engine.decoder.text import Text
from hf_lambda.onnx_engine.tokenizer import load_tokenizer

from ...protocol.records import Json
from .. import loading
from ..encoder.contract import contract_of, write_tokenizer
from ..request import NotPrepared, PrepareRequest
from ..samples import LONG, SENTENCES
from .architecture import Architecture, architecture_of

CAUSAL_INPUTS = ("input_ids",)
"""Of a text that a language model reads as an encoder does."""
_CHATS = (
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Hi <there> & you!"}],
    [
        {"role": "user", "content": "One, two, ..."},
        {"role": "assistant", "content": "three."},
        {"role": "user", "content": "  And then?\n"},
    ],
    [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "One, two,"}],
)


def write_tokenizer_and_contract(
    folder: Path,
    request: PrepareRequest,
    tokenizer: PreTrainedTokenizerBase,
    config: PreTrainedConfig,
    shape: Architecture,
) -> None:
    """Raises NotPrepared where the tokenizer, a chat template or an option would come out otherwise."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        name = type(tokenizer).__name__
        raise NotPrepared(f"{name} cannot be rebuilt without its own library: write engine='torch'")
    served = Tokenizer.from_str(backend.to_str())
    served.no_truncation()
    served.no_padding()
    (folder / "tokenizer.json").write_text(served.to_str())
    contract = DecoderContract(
        head=request.head,
        model_type=shape.model_type,
        max_position=shape.positions,
        vocabulary=shape.vocabulary,
        bos_id=tokenizer.bos_token_id,
        pad_id=tokenizer.pad_token_id,
        generation=_generation(request.snapshot, config, tokenizer),
        chat_template=tokenizer.chat_template,
        special_tokens=dict(tokenizer.special_tokens_map),
        cache_bytes=shape.cache_bytes,
    )
    write_contract(contract, folder)
    _check_options(request, contract)
    own = [sample for sample in request.samples or () if isinstance(sample, str)]
    _check_tokenizer(folder, tokenizer, own)
    _check_template(contract, tokenizer)


def write_tokenizer_of_encoder(
    request: PrepareRequest, folder: Path
) -> tuple[PreTrainedTokenizerBase, EncoderContract]:
    """Of a language model that is served without its head. The contract is not written: more belongs into it.

    Raises NotPrepared for a variant of a family whose graph would not come out the same.
    """
    transformers.utils.logging.disable_progress_bar()
    config = loading.load_config(request.snapshot)
    shape = architecture_of(config)
    tokenizer = loading.load_tokenizer(request.snapshot)
    # Many say nothing of a maximum, and none knows where the graph's rotations end.
    tokenizer.model_max_length = min(tokenizer.model_max_length, shape.positions)
    write_tokenizer(folder, tokenizer)
    contract = contract_of(request.head, tokenizer, config, CAUSAL_INPUTS)
    return tokenizer, replace(
        contract, max_position=shape.positions, is_causal=True, cache_bytes=shape.cache_bytes
    )


def _generation(
    snapshot: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Json]:
    """Options that the model ships, as transformers reads them."""
    if (snapshot / "generation_config.json").is_file():
        shipped = GenerationConfig.from_pretrained(snapshot)
    else:
        shipped = GenerationConfig.from_model_config(config)
    options = {name: value for name, value in shipped.to_diff_dict().items() if value is not None}
    if "eos_token_id" not in options and tokenizer.eos_token_id is not None:
        options["eos_token_id"] = tokenizer.eos_token_id
    return options


def _check_options(request: PrepareRequest, contract: DecoderContract) -> None:
    try:
        generation_of(
            contract.generation, {}, 1, context=contract.max_position, vocabulary=contract.vocabulary
        )
    except ServingError as error:
        raise NotPrepared(f"{request.repo_id} ships what the decoding loop does not do: {error}") from error


def _check_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase, own: list[str]) -> None:
    """The served tokenizer must split, and put together by pieces, each sample as transformers' does."""
    served, name = load_tokenizer(folder), type(tokenizer).__name__
    for sample in [*SENTENCES, LONG, " two  spaces ", "a\n\nb", *own]:
        ids = list(tokenizer(sample)["input_ids"])
        if served.encode(sample).ids != ids:
            raise NotPrepared(f"the served tokenizer splits {sample[:40]!r} otherwise than {name}")
        text = Text(served)
        pieces = "".join([*(text.add(token) for token in ids), text.end()])
        if pieces != tokenizer.decode(ids, skip_special_tokens=True):
            raise NotPrepared(f"the served tokenizer puts {sample[:40]!r} together otherwise than {name}")


def _check_template(contract: DecoderContract, tokenizer: PreTrainedTokenizerBase) -> None:
    if contract.chat_template is None:
        return
    template = Template(contract.chat_template, contract.special_tokens)
    for chat in _CHATS:
        is_continued = chat[-1]["role"] == "assistant"
        try:
            wanted = tokenizer.apply_chat_template(
                chat,
                tokenize=False,
                add_generation_prompt=not is_continued,
                continue_final_message=is_continued,
            )
        except (TemplateError, ValueError, TypeError, KeyError):
            continue  # a template without a system role, for instance, refuses it on both sides
        try:
            rendered = template.render(chat)
        except ServingError as error:
            raise NotPrepared(f"the chat template is refused here, not by transformers: {error}") from error
        if rendered != wanted:
            raise NotPrepared("the chat template comes out otherwise than transformers renders it")
