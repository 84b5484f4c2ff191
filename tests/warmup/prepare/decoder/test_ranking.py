"""Language models that rank, against sentence-transformers' CrossEncoder, on both engines."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hf_lambda.errors import Unprocessable, UntrainedHead
from hf_lambda.onnx_engine import load as load_onnx
from hf_lambda.torch_engine import load as load_torch
from tests.tiny_decoders import snapshot
from warmup.prepare import NotPrepared, PrepareRequest, prepare
from warmup.prepare.decoder import export
from warmup.prepare.request import PrepareFailed
from warmup.worker.untrained import untrained_for

QUERY = "Where was Marie Curie born?"
DOCUMENTS = [
    "Marie Curie was born in Warsaw and worked in Paris.",
    "ok",
    "",
    "<|im_end|> 今日は 😀 naïve",
    "Rain is expected in the north. " * 6,
]
ASKS = (
    "{%- set task = messages | selectattr('role', 'eq', 'system') | map(attribute='content') | first -%}"
    "<|im_start|>{{ task or 'Find it' }}\n"
    "{{ messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first }}\n"
    "{{ messages | selectattr('role', 'eq', 'document') | map(attribute='content') | first }}<|im_end|>\n"
    "{% if add_generation_prompt %}<|im_start|>Answer:{% endif %}{{ tail }}"
)
STRUCTURED = ASKS.replace(
    "map(attribute='content') | first }}\n", "map(attribute='content') | first)[0].text }}\n"
).replace("map(attribute='content') | first }}<", "map(attribute='content') | first)[0].text }}<")
STRUCTURED = STRUCTURED.replace("{{ messages |", "{{ (messages |")
YES_NO = ['"yes" or "no"'] * 60


def repository(
    folder: Path,
    family: str = "qwen3",
    *,
    template: str | None = ASKS,
    score: dict[str, object] | None = None,
    own: bool = True,
    settings: dict[str, object] | None = None,
    transformer: dict[str, object] | None = None,
    **config: object,
) -> Path:
    """own: with modules.json, as sentence-transformers saves a language model that ranks."""
    snapshot(family, folder, also=YES_NO, max_position_embeddings=512, **config)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    if own:
        kinds = ("base.modules.transformer.Transformer", "cross_encoder.modules.logit_score.LogitScore")
        modules = [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.{kind}"}
            for at, (kind, path) in enumerate(zip(kinds, ("", "1_LogitScore"), strict=True))
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_LogitScore").mkdir()
        named = score or {"true_token_id": 40, "false_token_id": 50}
        (folder / "1_LogitScore" / "config.json").write_text(json.dumps(named))
        message = {"method": "forward", "method_output_name": "logits", "format": "flat"}
        asked = {
            "transformer_task": "text-generation",
            "modality_config": {
                "text": {name: value for name, value in message.items() if name != "format"},
                "message": message,
            },
            "module_output_name": "causal_logits",
            **(transformer or {}),
        }
        (folder / "sentence_bert_config.json").write_text(json.dumps(asked))
        saved = {"model_type": "CrossEncoder", **(settings or {})}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(saved))
    return folder


def judged(folder: Path, documents: list[str] = DOCUMENTS, **options: Any) -> list[dict[str, Any]]:
    """What CrossEncoder makes of them, under our names."""
    from sentence_transformers import CrossEncoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CrossEncoder(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
        )
        # One by one: CrossEncoder pads on the left, which shifts positions.
        scores = [float(model.predict([(QUERY, each)], **options)[0]) for each in documents]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [{"index": index, "score": scores[index]} for index in order]


def prepared(folder: Path, into: Path, precision: str = "fp32", **options: Any):
    request = PrepareRequest("text-ranking", "org/rank", "c" * 40, folder, precision, **options)
    return prepare(request, into=into, isolated=False)


def same(got, wanted, atol=1e-4):
    by_index = [{each["index"]: each["score"] for each in some} for some in (got, wanted)]
    assert by_index[0].keys() == by_index[1].keys()
    for index, score in by_index[1].items():
        assert by_index[0][index] == pytest.approx(score, abs=atol)


PAIRS = [{"query": QUERY, "documents": DOCUMENTS}]
PROMPT = {"prompts": {"web": "Which one is about her"}, "default_prompt_name": "web"}
CASES: dict[str, dict[str, Any]] = {
    "softcap": {"family": "gemma2"},
    "one token": {"family": "llama", "score": {"true_token_id": 40, "false_token_id": None}},
    "instruction": {"settings": PROMPT},
    "variables": {
        "transformer": {
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True, "tail": "So: "}}
        }
    },
    "parts": {
        "template": STRUCTURED,
        "transformer": {
            "modality_config": {
                "text": {"method": "forward", "method_output_name": "logits"},
                "message": {"method": "forward", "method_output_name": "logits", "format": "structured"},
            }
        },
    },
    "no modules": {"own": False},
    "no template": {"template": None, "own": False},
}


QUICK = ("no modules",)


@pytest.mark.parametrize(
    "case", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in CASES]
)
def test_scores_are_those_of_cross_encoder(tmp_path, case):
    folder = repository(tmp_path / "source", **CASES[case])
    entry = prepared(folder, tmp_path)
    assert entry.agreement["fp32"]["raw_difference"] <= 1e-4
    wanted = judged(folder)
    assert len({round(each["score"], 3) for each in wanted}) > 1
    for engine in (load_onnx("text-ranking", Path(entry.path)), load_torch("text-ranking", folder)):
        same(engine(PAIRS)[0], wanted)


@pytest.mark.slow
def test_what_is_cut_keeps_what_the_template_writes_last(tmp_path):
    folder = repository(tmp_path / "source", transformer={"max_seq_length": 48})
    wanted = judged(folder)
    engines: list[Any] = [
        load_onnx("text-ranking", Path(prepared(folder, tmp_path).path)),
        load_torch("text-ranking", folder),
    ]
    for engine in engines:
        same(engine(PAIRS)[0], wanted)
        assert len(engine(PAIRS, max_length=12)[0]) == len(DOCUMENTS)
        assert len(engine(PAIRS, max_length=30, truncation_side="left")[0]) == len(DOCUMENTS)
        assert engine.count_tokens([(QUERY, DOCUMENTS[4])]) == 48
    long = [{"query": QUERY, "documents": ["and so on " * 400]}]
    with pytest.raises(Unprocessable, match="the model takes 512"):
        engines[0](long, truncation=False)


@pytest.mark.slow
def test_qwen3_rerankers_without_a_template_of_their_own_are_asked_as_their_authors_do(tmp_path):
    said = "{% if message.role == 'user' %}{{ message.content }}{% endif %}"
    chats = f"{{% for message in messages %}}{said}{{% endfor %}}"
    folder = repository(tmp_path / "source", template=chats, own=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    before = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
        'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    )
    after = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    answers = tokenizer.convert_tokens_to_ids(["no", "yes"])
    wanted: list[dict[str, Any]] = []
    for document in DOCUMENTS:
        text = f"{before}<Query>: {QUERY}\n<Document>: {document}{after}"
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**ids).logits[0, -1, answers]
        wanted.append({"index": len(wanted), "score": float(logits.softmax(-1)[1])})
    entry = prepared(folder, tmp_path)
    for engine in (load_onnx("text-ranking", Path(entry.path)), load_torch("text-ranking", folder)):
        same(engine(PAIRS)[0], wanted)


def test_8_bits_pass_the_gate_and_what_documents_share_is_read_once(tmp_path):
    folder = repository(tmp_path / "source")
    entry = prepared(folder, tmp_path, "auto")
    assert (entry.head, entry.precision, entry.reason) == ("sequence-classification", "int8", None)
    engine: Any = load_onnx("text-ranking", Path(entry.path))
    same(engine(PAIRS)[0], judged(folder), atol=0.05)
    runs = []
    model = engine._encoder._model
    run = model._run

    def counted(*given):
        runs.append(given[2].shape[1])
        return run(*given)

    model._run = counted
    again = engine([{"query": QUERY, "documents": ["one", "two"]}])
    assert max(runs) < 12  # the question itself is held since the documents before
    assert [each["score"] for each in again[0]] != [0.5, 0.5]
    with pytest.raises(UntrainedHead, match="a language model that ranks"):
        load_onnx("text-classification", Path(entry.path))


def test_weights_are_compared_with_those_of_a_language_model(tmp_path):
    assert untrained_for("text-ranking", repository(tmp_path / "source")) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"template": "{{ messages[0].content }}", "own": False, "family": "llama"}, "out the document"),
        ({"template": "{{ raise_exception('no') }}", "family": "llama"}, "does not ask about a pair"),
        ({"template": None}, "asks by a chat template, and has none"),
        ({"score": {"true_token_id": "yes"}}, "names no tokens"),
        ({"transformer": {"processing_kwargs": {"text": {"max_length": 3}}}}, "setting text"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(tmp_path, given, reason):
    folder = repository(tmp_path / "source", **given)
    with pytest.raises(PrepareFailed, match=reason):
        prepared(folder, tmp_path)
    with pytest.raises(UntrainedHead, match=reason):
        load_torch("text-ranking", folder)


def test_the_gate_refuses_other_answers(tmp_path, monkeypatch):
    folder = repository(tmp_path / "source")
    monkeypatch.setattr(export, "judged_tokens", lambda work: (50, 40))
    with pytest.raises(NotPrepared, match="raw_difference"):
        prepared(folder, tmp_path)
