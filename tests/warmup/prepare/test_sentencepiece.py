"""Repositories that ship sentencepiece's own file and no tokenizer.json: prepared like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_lambda import onnx_engine, torch_engine
from hf_lambda.torch_engine.loading import load_tokenizer
from tests import tiny_encoders, tiny_seq2seq
from tests.families import others_slow
from tests.tiny_sentencepiece import SHIPPED, ship
from warmup.prepare import PrepareRequest, prepare

TEXTS = [
    "I love this little cafe, the coffee is wonderful and the staff always smile.",
    "ok",
    "Rain is expected in the north.\nThe south stays  dry. naïve café 😀 今日は",
]


@pytest.mark.parametrize("family", others_slow(["deberta-v3", "xlm-roberta"], "xlm-roberta"))
def test_an_encoder_gives_the_labels_and_scores_of_torch(tmp_path, family):
    ship(family, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    config = tiny_encoders.config_of(SHIPPED[family].model_type, tokenizer, ["good", "bad"])
    config.save_pretrained(tmp_path)
    tiny_encoders.save_head(tmp_path, "AutoModelForSequenceClassification")
    ours, theirs = _answers("text-classification", tmp_path)
    assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    expected = [answer["score"] for answer in theirs]
    assert [answer["score"] for answer in ours] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "task", "options"),
    [
        ("pegasus", "summarization", {}),
        ("t5", "summarization", {}),
        ("mbart50", "translation", {"src_lang": "en_XX", "tgt_lang": "fr_XX"}),
    ],
)
def test_an_encoder_decoder_writes_what_torch_writes(tmp_path, family, task, options):
    ship(family, tmp_path)
    tiny_seq2seq.random_model(family, len(load_tokenizer(tmp_path))).save_pretrained(tmp_path)
    with tiny_seq2seq.one_thread():
        ours, theirs = _answers(task, tmp_path, max_new_tokens=12, **options)
    assert ours == theirs


def _answers(task: str, snapshot: Path, **options):
    """(ours of the prepared model, the torch engine's); nothing in between wrote a tokenizer.json."""
    into = snapshot / "prepared"
    request = PrepareRequest(task, "a/b", "c" * 40, snapshot, precision="fp32")
    entry = prepare(request, into=into, isolated=False)
    assert not (snapshot / "tokenizer.json").exists()
    ours = onnx_engine.load(task, Path(entry.path))
    return ours(TEXTS, **options), torch_engine.load(task, snapshot)(TEXTS, **options)
