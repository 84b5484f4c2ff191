"""serving.json: written by the warm-up, read by serving, in prepared folders of earlier versions too."""

from __future__ import annotations

import json

import pytest

from hf_lambda.onnx_engine.contract import (
    DecoderContract,
    EncoderContract,
    Seq2SeqContract,
    SpecialTokens,
    SurroundingTokens,
    TextRules,
    read_contract,
    write_contract,
)

ENCODER = EncoderContract(
    head="sequence-classification",
    model_type="bert",
    inputs=("input_ids", "attention_mask"),
    max_length=512,
    max_position=514,
    tokenizer=SpecialTokens(pad_id=0, mask_id=4, mask_token="[MASK]", truncation_side="left", cleanup=True),
    labels=("bad", "good é"),
    problem_type="regression",
    entailment_id=1,
    prefetch={"model.onnx.data": 7},
)
TRANSLATOR = Seq2SeqContract(
    head="seq2seq-lm",
    model_type="m2m_100",
    max_length=None,
    max_position=None,
    vocabulary=100,
    pad_id=1,
    unk_id=3,
    truncation_side="left",
    generation={"num_beams": 4},
    task_specific={"summarization": {"prefix": "summarize: "}},
    prefix="p",
    text=TextRules(
        default=SurroundingTokens((), (2,)),
        size=90,
        surface=True,
        languages={"fr": SurroundingTokens((5,), (2,), forced_bos=5)},
    ),
)
LANGUAGE_MODEL = DecoderContract(
    head="causal-lm",
    model_type="qwen3",
    max_position=4096,
    vocabulary=100,
    bos_id=1,
    pad_id=None,
    generation={"eos_token_id": [1, 2]},
    chat_template=None,
    special_tokens={"bos_token": "<s>"},
)


@pytest.mark.parametrize("contract", [ENCODER, TRANSLATOR, LANGUAGE_MODEL])
def test_what_is_written_is_read_again(tmp_path, contract):
    write_contract(contract, tmp_path)
    assert read_contract(tmp_path) == contract


def test_an_encoder_that_was_prepared_before_is_read():
    document = {
        "head": "masked-lm",
        "model_type": "bert",
        "inputs": ["input_ids", "attention_mask"],
        "max_length": 512,
        "positions": 510,
        "tokenizer": {
            "pad_id": 0,
            "mask_id": 4,
            "cls_id": 2,
            "sep_id": 3,
            "unk_id": 1,
            "bos_id": None,
            "eos_id": None,
            "mask_token": "[MASK]",
            "special_ids": [0, 1],
            "padding_side": "right",
            "truncation_side": "right",
            "cleanup": False,
        },
        "labels": ["LABEL_0"],
        "problem_type": None,
        "entailment_id": -1,
        "prefetch": {"model.onnx.data": 12},
    }
    contract = EncoderContract.from_json(document)
    assert (contract.max_position, contract.tokenizer.mask_id) == (510, 4)
    assert contract.to_json().keys() == document.keys()


def test_an_encoder_decoder_model_that_was_prepared_before_is_read():
    """Only models with languages had that key."""
    rules = {"default": {"prefix": [], "suffix": [1]}, "size": None, "surface": False, "leading_code": False}
    document = {
        "head": "seq2seq-lm",
        "model_type": "t5",
        "max_length": None,
        "positions": None,
        "vocabulary": 50,
        "tokenizer": {"pad_id": 0, "unk_id": 2, "truncation_side": "right"},
        "generation": {"decoder_start_token_id": 0},
        "task_specific": {},
        "prefix": "",
        "text": {**rules, "can_clean_up": True},
    }
    contract = Seq2SeqContract.from_json(json.loads(json.dumps(document)))
    assert contract.text == TextRules(SurroundingTokens((), (1,)), can_clean_up=True)
    assert contract.text.languages == {}
