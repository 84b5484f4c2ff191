"""Weights or words that transformers would make up are refused, with what is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hf_lambda import torch_engine
from hf_lambda.errors import ServingError, UntrainedHead, WrongTokenizer
from hf_lambda.media.image import Image
from tests import media_support, tiny_encoders, tiny_media, tiny_seq2seq
from warmup.prepare import PrepareFailed, PrepareRequest, prepare
from warmup.protocol.errors import ErrorKind
from warmup.worker.untrained import untrained_for

HEADS = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
}


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """`snapshots("bert", "fill-mask")`: a model of the family with the head of that task."""
    made: dict[tuple[str, str], Path] = {}

    def make(family: str, task: str, labels: list[str] | None = None) -> Path:
        key = (family, f"{task} {labels}")
        if key not in made:
            folder = tiny_encoders.build(
                family, tmp_path_factory.mktemp(family) / "model", labels=labels or ["a", "b"]
            )
            made[key] = tiny_encoders.save_head(folder, HEADS[task])
        return made[key]

    return make


def _refusals(task: str, snapshot: Path, into: Path) -> tuple[ServingError, PrepareFailed]:
    """What the torch engine and the warm-up say of it."""
    with pytest.raises(ServingError) as of_torch:
        torch_engine.load(task, snapshot)
    request = PrepareRequest(task, "org/name", "c" * 40, snapshot)
    with pytest.raises(PrepareFailed) as of_warmup:
        prepare(request, into=into, isolated=False)
    assert str(of_warmup.value) == str(of_torch.value)
    return of_torch.value, of_warmup.value


@pytest.mark.parametrize(
    ("family", "has", "task", "message"),
    [
        ("bert", "fill-mask", "text-classification", "trained as BertForMaskedLM, for fill-mask"),
        (
            "bert",
            "text-classification",
            "token-classification",
            "trained as BertForSequenceClassification, for text-classification",
        ),
        ("distilbert", "feature-extraction", "text-classification", "classifier.bias, classifier.weight"),
        ("roberta", "feature-extraction", "fill-mask", "trained as RobertaModel, for feature-extraction"),
        ("mpnet", "token-classification", "question-answering", "qa_outputs.bias, qa_outputs.weight"),
        ("deberta-v2", "fill-mask", "zero-shot-classification", "classifier.weight"),
    ],
)
def test_a_model_without_the_head_of_its_task_is_refused(snapshots, tmp_path, family, has, task, message):
    of_torch, of_warmup = _refusals(task, snapshots(family, has, ["entailment", "other"]), tmp_path)
    assert isinstance(of_torch, UntrainedHead)
    assert message in str(of_torch)
    assert of_warmup.kind is ErrorKind.UNTRAINED_HEAD


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "electra"])
def test_a_model_of_another_head_still_gives_features(snapshots, family):
    """Its pooler, which the head never had, is not read."""
    engine = torch_engine.load("feature-extraction", snapshots(family, "fill-mask"))
    assert len(engine(["one text"])[0][0][0]) == 32


def test_labels_without_entailment_are_refused_for_zero_shot_alone(snapshots, tmp_path):
    snapshot = snapshots("bert", "text-classification")
    of_torch, of_warmup = _refusals("zero-shot-classification", snapshot, tmp_path)
    assert 'none of the labels (a, b) begins with "entail"' in str(of_torch)
    assert of_warmup.kind is ErrorKind.UNTRAINED_HEAD
    assert torch_engine.load("text-classification", snapshot)(["fine"])[0]["label"] in ("a", "b")


def test_a_prepared_model_without_entailment_is_refused_for_zero_shot(snapshots, tmp_path):
    from hf_lambda import onnx_engine

    snapshot = snapshots("bert", "text-classification")
    request = PrepareRequest("text-classification", "org/name", "c" * 40, snapshot, precision="fp32")
    folder = Path(prepare(request, into=tmp_path, isolated=False).path)
    with pytest.raises(UntrainedHead, match='begins with "entail"'):
        onnx_engine.load("zero-shot-classification", folder)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2", "xlm-roberta"])
def test_a_repository_without_its_tokenizer_is_refused(snapshots, tmp_path, family):
    snapshot = _copy(snapshots(family, "text-classification"), tmp_path / "copy")
    for path in snapshot.glob("*token*"):
        path.unlink()
    of_torch, of_warmup = _refusals("text-classification", snapshot, tmp_path / "into")
    assert isinstance(of_torch, WrongTokenizer)
    assert "tokenizer" in str(of_torch)
    assert of_warmup.kind is ErrorKind.NO_TOKENIZER


@pytest.mark.parametrize("kept", [0.2, 3])
def test_a_vocabulary_that_cannot_be_the_models_is_refused(snapshots, tmp_path, kept):
    snapshot = _copy(snapshots("bert", "text-classification"), tmp_path / "copy")
    path = snapshot / "tokenizer.json"
    document = json.loads(path.read_text())
    words = document["model"]["vocab"]
    size = int(kept * len(words))
    words = {word: index for word, index in words.items() if index < size}
    words |= {f"more{index}": index for index in range(len(words), size)}
    document["model"]["vocab"] = words
    path.write_text(json.dumps(document))
    of_torch, _ = _refusals("text-classification", snapshot, tmp_path / "into")
    assert f"a tokenizer of {size} tokens" in str(of_torch)


def test_a_table_padded_beyond_its_vocabulary_is_fine(tmp_path):
    tokenizer = tiny_encoders.tokenizer_of("bert")
    folder = tiny_encoders.build("bert", tmp_path / "model", vocab_size=len(tokenizer) + 60)
    tiny_encoders.save_head(folder, HEADS["text-classification"])
    assert torch_engine.load("text-classification", folder)(["fine"])


@pytest.mark.parametrize("task", ["text-classification", "feature-extraction"])
def test_code_of_a_repository_is_never_run(snapshots, tmp_path, task, monkeypatch):
    """Not even where somebody would say yes."""
    snapshot = _copy(snapshots("bert", task), tmp_path / "copy")
    ran = tmp_path / "ran"
    (snapshot / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
    classes = {"AutoConfig": "own.Own", HEADS[task]: "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}
    for name in ("config.json", "tokenizer_config.json"):
        path = snapshot / name
        document = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**document, "auto_map": classes}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    torch_engine.load(task, snapshot)(["a text"])
    request = PrepareRequest(task, "org/name", "c" * 40, snapshot, precision="fp32")
    prepare(request, into=tmp_path / "into", isolated=False)
    assert not ran.exists()


def test_a_family_of_the_repositorys_own_is_not_prepared(snapshots, tmp_path):
    from warmup.prepare import NotPrepared

    snapshot = _copy(snapshots("bert", "text-classification"), tmp_path / "copy")
    path = snapshot / "config.json"
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    request = PrepareRequest("text-classification", "org/name", "c" * 40, snapshot)
    with pytest.raises(NotPrepared, match="own models are not prepared for text-classification"):
        prepare(request, into=tmp_path / "into", isolated=False)


def _without(snapshot: Path, part: str) -> Path:
    """`snapshot` less the weights whose names hold `part`."""
    path = snapshot / "model.safetensors"
    weights = load_file(path)
    kept = {name: tensor for name, tensor in weights.items() if part not in name}
    assert 0 < len(kept) < len(weights)
    save_file(kept, path, metadata={"format": "pt"})
    return snapshot


def test_weights_that_no_answer_reads_may_be_missing(tmp_path):
    """Real repositories leave out the first residual of DPT's fusion layers, which is never called."""
    whole = tiny_media.build("dpt", tmp_path / "whole", "ForDepthEstimation")
    snapshot = _without(_copy(whole, tmp_path / "copy"), "fusion_stage.layers.0.residual_layer1")
    assert untrained_for("depth-estimation", snapshot) is None
    pictures = [Image(media_support.encoded(media_support.picture()))]
    answers = [torch_engine.load("depth-estimation", folder)(pictures) for folder in (snapshot, whole)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("family", "head", "task", "part"),
    [
        ("dpt", "ForDepthEstimation", "depth-estimation", "head.head."),
        ("segformer", "ForSemanticSegmentation", "image-segmentation", "decode_head."),
        ("detr", "ForObjectDetection", "object-detection", "class_labels_classifier"),
        ("vit", "ForImageClassification", "image-classification", "classifier."),
    ],
)
def test_a_part_of_a_head_that_is_missing_is_named(tmp_path, family, head, task, part):
    snapshot = _without(tiny_media.build(family, tmp_path / "m", head), part)
    found = untrained_for(task, snapshot)
    assert found is not None and all(part in name for name in found.missing)
    with pytest.raises(UntrainedHead, match=re.escape(found.missing[0])):
        torch_engine.load(task, snapshot)


def test_an_encoder_decoder_without_its_layers_is_refused(tmp_path):
    """T5 has no prefix for its body, and a head of one matrix, which is mostly the embedding's."""
    snapshot = _without(tiny_seq2seq.build("t5", tmp_path / "m"), "decoder.block.")
    found = untrained_for("summarization", snapshot)
    assert found is not None and all("decoder.block." in name for name in found.missing)


def _copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target
