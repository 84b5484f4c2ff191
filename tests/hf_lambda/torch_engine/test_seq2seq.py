"""Summarization, translation and text2text-generation: as `generate` gives them, in the old shapes."""

from __future__ import annotations

from functools import partial

import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.parameters import NEW_TOKENS
from hf_lambda.torch_engine import load
from hf_lambda.torch_engine.seq2seq import Seq2Seq, language_codes

TEXTS = ["the cat sat on the mat", "we love this very very good film , where is the book ?", "sad"]
FRENCH = {"src_lang": "en_XX", "tgt_lang": "fr_XX"}
BEAMS = {
    "num_beams": 3,
    "length_penalty": 2.0,
    "no_repeat_ngram_size": 2,
    "max_length": 20,
    "early_stopping": True,
}


def generated(folder, texts, **options):
    """Text by text, without padding."""
    import torch
    import transformers

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    decoded = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            decoded += tokenizer.batch_decode(model.generate(**inputs, **options), skip_special_tokens=True)
    return decoded


@pytest.mark.parametrize("architecture", ["BartForConditionalGeneration", "T5ForConditionalGeneration"])
@pytest.mark.parametrize("options", [{"max_new_tokens": 12}, BEAMS, {"min_length": 9, "max_length": 12}])
def test_summaries_are_what_the_model_generates(tiny, architecture, options):
    folder = tiny(architecture)
    expected = [{"summary_text": text} for text in generated(folder, TEXTS, **options)]
    assert load("summarization", folder)(TEXTS, **options) == expected


def test_the_options_that_a_model_ships_for_the_task_are_used(tiny):
    folder = tiny("BartForConditionalGeneration", task_specific_params={"summarization": BEAMS})
    expected = [{"summary_text": text} for text in generated(folder, TEXTS, **BEAMS)]
    assert load("summarization", folder)(TEXTS) == expected
    plain = [{"generated_text": text} for text in generated(folder, TEXTS, max_new_tokens=64)]
    assert NEW_TOKENS > 64
    assert load("text2text-generation", folder)(TEXTS) == plain


def test_the_prefix_that_a_model_ships_for_the_task_is_put_before_the_text(tiny):
    params = {"translation_en_to_fr": {"prefix": "translate english to french : ", "max_length": 12}}
    folder = tiny("T5ForConditionalGeneration", task_specific_params=params)
    prefixed = ["translate english to french : " + text for text in TEXTS]
    expected = [{"translation_text": text} for text in generated(folder, prefixed, max_length=12)]
    assert load("translation_en_to_fr", folder)(TEXTS) == expected
    bare = [{"translation_text": text} for text in generated(folder, TEXTS, max_length=12)]
    assert load("translation_en_to_de", folder)(TEXTS, max_length=12) == bare != expected


def test_a_length_in_the_request_wins_over_one_that_the_model_ships(tiny):
    folder = tiny("BartForConditionalGeneration", generation={"max_new_tokens": 30})
    expected = [{"generated_text": text} for text in generated(folder, TEXTS, max_new_tokens=4)]
    assert load("text2text-generation", folder)(TEXTS, max_length=5) == expected


def test_an_answer_longer_than_the_decoder_is_refused_with_the_limit(tiny):
    engine = load("text2text-generation", tiny("BartForConditionalGeneration"))
    with pytest.raises(BadRequest, match="`max_new_tokens`: expected at most 64"):
        engine(["cat"], max_new_tokens=65)
    with pytest.raises(BadRequest, match="`max_length`: expected at most 65"):
        engine(["cat"], max_length=66)
    endless = {"max_new_tokens": 64, "min_new_tokens": 64}
    assert engine(["cat"], **endless)[0]["generated_text"]


def test_several_sequences_per_text_come_as_lists(tiny):
    engine = load("text2text-generation", tiny("BartForConditionalGeneration"))
    answers = engine(TEXTS, num_beams=3, num_return_sequences=2, max_new_tokens=8)
    assert [len(answer) for answer in answers] == [2, 2, 2]
    assert answers[0][0] == engine(TEXTS[:1], num_beams=3, max_new_tokens=8)[0]


def test_a_text_longer_than_the_encoder_is_refused_unless_truncated(tiny):
    engine = partial(load("summarization", tiny("BartForConditionalGeneration")), max_new_tokens=4)
    with pytest.raises(Unprocessable, match=r"92 tokens, the model takes at most 64: .* truncation"):
        engine(["cat " * 90])
    assert engine(["cat " * 90], truncation=True)[0]["summary_text"] is not None


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"max_new_tokens": 8}, 10),  # 4 tokens read and 8 written, of 120
        ({"max_new_tokens": 8, "num_beams": 2}, 6),
        ({"max_length": 20}, 5),
        ({"max_new_tokens": 8, "do_sample": True, "num_return_sequences": 3}, 4),
        ({}, 3),
    ],
)
def test_no_batch_holds_more_tokens_read_and_written_than_the_bound(tiny, monkeypatch, options, rows):
    monkeypatch.setattr("hf_lambda.torch_engine.seq2seq.MAX_PADDED_TOKENS", 120)
    folder = tiny("BartForConditionalGeneration", generation={"max_new_tokens": 16, "num_beams": 2})
    engine = Seq2Seq("summarization", folder)
    options = {"num_beams": 1, **options} if options else {}
    seen, generate = [], engine._model.generate

    def watched(**given):
        seen.append(len(given["input_ids"]))
        return generate(**given)

    monkeypatch.setattr(engine._model, "generate", watched)
    assert len(engine(["the cat"] * 20, **options)) == 20
    assert (seen[0], max(seen)) == (rows, rows)


def test_options_that_contradict_each_other_are_the_callers_mistake(tiny):
    engine = load("text2text-generation", tiny("BartForConditionalGeneration"))
    with pytest.raises(BadRequest, match="num_return_sequences"):
        engine(["cat"], num_return_sequences=3, num_beams=2)


def test_sampled_text_is_the_same_for_the_same_seed(tiny):
    engine = load("text2text-generation", tiny("BartForConditionalGeneration"))
    first = engine(["cat"], do_sample=True, seed=3, max_new_tokens=16)
    assert engine(["cat"], do_sample=True, seed=3, max_new_tokens=16) == first


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory):
    """A tiny mBART-50: the language of the answer is its first token."""
    import torch
    import transformers

    tokenizer = transformers.MBart50Tokenizer(
        vocab=[("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
        + [(piece, -float(rank)) for rank, piece in enumerate(["▁", *"abcdefghijklmnopqrstuvwxyz"])],
        src_lang="en_XX",
    )
    torch.manual_seed(0)
    config = transformers.MBartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32,
        decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
        pad_token_id=1, decoder_start_token_id=2, eos_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("mbart50")
    transformers.MBartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_languages_choose_the_first_token_of_the_answer(multilingual, monkeypatch):
    engine = Seq2Seq("translation", multilingual)
    options = {**FRENCH, "max_new_tokens": 6}
    seen = []
    generate = engine._model.generate

    def watched(**given):
        seen.append(given)
        return generate(**given)

    monkeypatch.setattr(engine._model, "generate", watched)
    engine(["a cat", "dog"], **options)
    engine(["a cat"], **{**options, "tgt_lang": "de_DE"})
    code = engine._tokenizer.convert_tokens_to_ids
    assert [given["forced_bos_token_id"] for given in seen] == [code("fr_XX"), code("de_DE")]
    assert (seen[0]["input_ids"][:, 0] == code("en_XX")).all()


def test_a_language_that_the_model_does_not_know_is_refused(multilingual):
    engine = Seq2Seq("translation", multilingual)
    assert "fr_XX" in language_codes(engine._tokenizer)
    with pytest.raises(BadRequest, match=r"tgt_lang.*'xx_YY'"):
        engine(["a"], src_lang="en_XX", tgt_lang="xx_YY")
    with pytest.raises(BadRequest, match=r"src_lang.*None"):
        engine(["a"], tgt_lang="fr_XX")
