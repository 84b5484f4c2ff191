"""What serving needs to know of a model of sound and of its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import Wav2Vec2CTCTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from hf_lambda.onnx_engine.sound.contract import CtcRules, SoundContract, SoundRecipe, WhisperRules

from ...protocol.records import Json
from ..request import NotPrepared

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_UNUSED = ("condition_on_prev_tokens", "prompt_condition_type", "num_frames")
"""Whisper's options that are left out where they ask for nothing."""


def classifier(head: str, config: PreTrainedConfig, recipe: SoundRecipe) -> SoundContract:
    return SoundContract(
        head=head,
        model_type=config.model_type,
        recipe=recipe,
        labels=tuple(config.id2label[index] for index in range(config.num_labels)),
        problem_type=config.problem_type,
    )


def ctc(
    head: str, config: PreTrainedConfig, recipe: SoundRecipe, tokenizer: PreTrainedTokenizerBase
) -> SoundContract:
    """Raises NotPrepared for another tokenizer than Wav2Vec2CTCTokenizer."""
    if type(tokenizer) is not Wav2Vec2CTCTokenizer:
        raise NotPrepared(f"{type(tokenizer).__name__} writes letters in a way that is not built here")
    rules = CtcRules(
        tokens=tuple(tokenizer.convert_ids_to_tokens(list(range(config.vocab_size)))),
        blank=tokenizer.pad_token,
        delimiter=tokenizer.word_delimiter_token,
        space=tokenizer.replace_word_delimiter_char,
        lower=bool(tokenizer.do_lower_case),
        cleanup=bool(tokenizer.clean_up_tokenization_spaces),
        stride=int(config.inputs_to_logits_ratio),
    )
    return SoundContract(head=head, model_type=config.model_type, recipe=recipe, ctc=rules)


def whisper(
    head: str, model: PreTrainedModel, recipe: SoundRecipe, tokenizer: PreTrainedTokenizerBase
) -> SoundContract:
    config = model.config
    generation = _generation(model)
    token_of = tokenizer.convert_tokens_to_ids
    special = [int(token) for token in tokenizer.all_special_ids]
    names = {token: tokenizer.decode([token])[2:-2] for token in special}
    rules = WhisperRules(
        generation=generation,
        positions=config.max_target_positions,
        vocabulary=config.vocab_size,
        frames=2 * config.max_source_positions,
        pad_id=tokenizer.pad_token_id,
        first_timestamp=token_of("<|notimestamps|>") + 1,
        previous_id=token_of("<|startofprev|>"),
        start_id=token_of("<|startoftranscript|>"),
        special_ids=tuple(special),
        languages=_languages(generation.get("lang_to_id") or {}),
        spoken={token: LANGUAGES[name] for token, name in names.items() if name in LANGUAGES},
        cleanup=bool(tokenizer.clean_up_tokenization_spaces),
        seconds=recipe.window / recipe.rate / config.max_source_positions,
    )
    return SoundContract(head=head, model_type=config.model_type, recipe=recipe, whisper=rules)


def _generation(model: PreTrainedModel) -> dict[str, Json]:
    """Raises NotPrepared for what forces the answer in a way that is not Whisper's own."""
    options = {name: value for name, value in model.generation_config.to_dict().items() if value is not None}
    forced = options.get("forced_decoder_ids") or getattr(model.config, "forced_decoder_ids", None)
    options.pop("forced_decoder_ids", None)
    if forced:
        places = [place for place, _ in forced]
        if places[0] == 1 and places != list(range(1, len(places) + 1)):
            raise NotPrepared("its forced_decoder_ids leave places out")
        if places[0] == 1:
            options["forced_decoder_ids"] = [list(pair) for pair in forced]
    for name in _UNUSED:
        if options.get(name) in (False, "first-segment", None):
            options.pop(name, None)
    return options


def _languages(known: dict[str, int]) -> dict[str, int]:
    """What `language` may be, in small letters -> token."""
    codes = {**TO_LANGUAGE_CODE, **{code: code for code in TO_LANGUAGE_CODE.values()}}
    found = {name: known[f"<|{code}|>"] for name, code in codes.items() if f"<|{code}|>" in known}
    return {**found, **known}
