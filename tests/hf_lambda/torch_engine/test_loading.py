"""Loading from a snapshot folder: offline, never running what a pickle brings, knowing the model's limits."""

from __future__ import annotations

import pickle
import shutil

import pytest
import torch
import transformers

from hf_lambda.errors import Unprocessable
from hf_lambda.torch_engine import load
from hf_lambda.torch_engine.loading import check_length, load_model, load_tokenizer, max_length, max_position
from tests.tiny_sentencepiece import SHIPPED, ship

ENCODER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
HALVES = {"layers": 1, "ffn_dim": 16, "attention_heads": 2}
SEQ2SEQ = {f"{half}_{name}": size for half in ("encoder", "decoder") for name, size in HALVES.items()}
SEQ2SEQ |= {"d_model": 16, "pad_token_id": 1}


@pytest.mark.parametrize(
    ("config", "sizes", "most"),
    [
        ("BertConfig", {**ENCODER, "max_position_embeddings": 40}, 40),
        ("DistilBertConfig", {"dim": 16, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 40}, 40),
        ("RobertaConfig", {**ENCODER, "max_position_embeddings": 42, "pad_token_id": 1}, 40),
        ("MPNetConfig", {**ENCODER, "max_position_embeddings": 42, "pad_token_id": 1}, 40),
        ("DebertaV2Config", {**ENCODER, "position_biased_input": False, "relative_attention": True}, None),
        ("GPT2Config", {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 40}, 40),
        ("BartConfig", {**SEQ2SEQ, "max_position_embeddings": 40}, 40),
        ("PegasusConfig", {**SEQ2SEQ, "max_position_embeddings": 40}, 40),
        ("MarianConfig", {**SEQ2SEQ, "max_position_embeddings": 40}, 40),
        ("M2M100Config", {**SEQ2SEQ, "max_position_embeddings": 40}, None),
        ("T5Config", {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}, None),
    ],
)
def test_the_most_tokens_that_a_model_takes_are_known_and_true(config, sizes, most):
    model = transformers.AutoModel.from_config(getattr(transformers, config)(vocab_size=30, **sizes)).eval()
    assert max_position(model) == most

    def run(length):
        with torch.inference_mode():
            encoder = model.get_encoder() if model.config.is_encoder_decoder else model
            return encoder(input_ids=torch.full((1, length), 5), attention_mask=torch.ones(1, length))

    run(most or 600)
    if most is not None:
        with pytest.raises((IndexError, RuntimeError)):
            run(most + 1)


def test_tokenizers_without_a_limit_leave_it_to_the_model(tiny):
    folder = tiny("BertForSequenceClassification", num_labels=3, tokenizer_max_length=None)
    tokenizer = load_tokenizer(folder)
    model = load_model(transformers.AutoModelForSequenceClassification, folder)
    assert tokenizer.model_max_length > 10**9
    assert max_length(tokenizer, model) == 64
    assert load("text-classification", folder)(["cat " * 200], truncation=True)[0]["label"]


def test_a_length_is_refused_with_the_numbers_and_a_way_out():
    check_length([3, 64], 64, remedy="shorten it")
    check_length([10**6], None, remedy="shorten it")
    with pytest.raises(Unprocessable, match="the text has 65 tokens, the model takes at most 64: shorten it"):
        check_length([3, 65], 64, remedy="shorten it")


def test_half_precision_weights_are_run_in_float32(tiny, tmp_path):
    folder = tiny("BertForSequenceClassification", num_labels=3)
    halved = shutil.copytree(folder, tmp_path / "half")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).half()
    model.save_pretrained(halved)
    assert load_model(transformers.AutoModelForSequenceClassification, halved).dtype == torch.float32


def pickled(folder, into, weights):
    shutil.copytree(folder, into, ignore=shutil.ignore_patterns("*.safetensors"))
    (into / "pytorch_model.bin").write_bytes(weights)
    return into


def test_pickled_weights_load(tiny, tmp_path):
    folder = tiny("BertForSequenceClassification", num_labels=3)
    state = transformers.AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
    torch.save(state, tmp_path / "weights")
    only_pickle = pickled(folder, tmp_path / "model", (tmp_path / "weights").read_bytes())
    assert load("text-classification", only_pickle)(["cat"]) == load("text-classification", folder)(["cat"])


def test_a_pickle_that_wants_to_run_code_is_refused(tiny, tmp_path):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (ran.write_text, ("x",))

    torch.save({"weight": Evil()}, tmp_path / "weights")
    folder = tiny("BertForSequenceClassification", num_labels=3)
    evil = pickled(folder, tmp_path / "model", (tmp_path / "weights").read_bytes())
    with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights.only"):
        load("text-classification", evil)
    assert not ran.exists()


@pytest.mark.parametrize("family", SHIPPED)
def test_a_repository_without_tokenizer_json_is_split_as_sentencepiece_does(tmp_path, family):
    own = ship(family, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    text = "the train to edinburgh leaves at 7:45 from platform 9."
    pieces = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(pieces) == own.encode(text, out_type=str)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
