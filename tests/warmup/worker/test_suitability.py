"""Models that would answer from made-up parts: refused with what is missing; every other model passes."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers
from safetensors import SafetensorError

from hf_lambda.torch_engine.trained import Untrained
from local.hub import Hub, serve
from tests import tiny_encoders, tiny_seq2seq
from tests.families import others_slow
from tests.warmup.support import TINY, Warming, remote
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.events import Action
from warmup.protocol.models import ModelRequest, Use
from warmup.worker import suitability
from warmup.worker.jobs import Job, OutOfTime
from warmup.worker.source import Snapshot
from warmup.worker.suitability import check_suitability
from warmup.worker.untrained import NotComparable, compare, untrained_for

HEADS = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
}


def check(folder: Path, *uses: Use, cache: Path | None = None, remaining_s: float = 900.0) -> dict[str, str]:
    """Which tasks were not compared, and why. Raises what a use is refused for."""
    files = tuple(remote(str(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file())
    model = ModelRequest("org/m", None, uses)
    job = Job("a", Action.WARM, lambda: remaining_s)
    found = check_suitability(model, cache or folder / ".cache", Snapshot("c" * 40, folder, files), job)
    for _, error in found.refused:
        raise error
    return {each.task: each.reason for each in found.not_compared}


def files(folder: Path, **content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in content.items():
        path = folder / name.replace("_json", ".json").replace("_txt", ".txt").replace("_model", ".model")
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return folder


def refused(folder: Path, *uses: Use) -> WarmupError:
    with pytest.raises(WarmupError) as raised:
        check(folder, *uses)
    return raised.value


@pytest.mark.parametrize("task", ["text-classification", "sentiment-analysis", "ner", "translation_en_to_fr"])
def test_a_text_model_without_tokenizer_files_is_refused(tmp_path: Path, task: str) -> None:
    folder = files(
        tmp_path / "m", config_json={"model_type": "bert", "vocab_size": 30522}, tokenizer_config_json={}
    )
    error = refused(folder, Use(task))
    assert error.kind is ErrorKind.NO_TOKENIZER
    assert str(error).startswith("org/m has no tokenizer (tokenizer.json, vocab.txt, *.model, ...)")


@pytest.mark.parametrize(
    "content",
    [
        {"tokenizer_json": {"model": {"vocab": {str(n): n for n in range(5)}}}},
        {"tokenizer_json": {"model": {"vocab": [[str(n), 0.0] for n in range(3000)]}}},
        {"vocab_txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"},
    ],
)
def test_a_vocabulary_far_smaller_than_the_models_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    folder = files(tmp_path / "m", config_json={"model_type": "bert", "vocab_size": 30522}, **content)
    error = refused(folder, Use("fill-mask"))
    assert error.kind is ErrorKind.NO_TOKENIZER
    assert "tokens for a model of 30,522: it cannot be the model's" in str(error)


@pytest.mark.parametrize(
    ("config", "content", "use"),
    [
        (
            {"vocab_size": 1124},
            {"tokenizer_json": {"model": {"vocab": {str(n): n for n in range(1024)}}}},
            "fill-mask",
        ),
        ({"vocab_size": 250112}, {"spiece_model": "binary"}, "translation_en_to_fr"),
        (
            {"vocab_size": 384, "model_type": "t5"},
            {"tokenizer_config_json": {"tokenizer_class": "ByT5Tokenizer"}},
            "summarization",
        ),
        ({"model_type": "canine"}, {}, "text-classification"),
        ({"model_type": "vit"}, {}, "image-classification"),
        ({"model_type": "whisper"}, {}, "automatic-speech-recognition"),
        ({"vocab_size": 30522}, {"vocab_txt": "\n".join(map(str, range(30000)))}, "feature-extraction"),
        ({}, {"tokenizer_json": "{broken"}, "fill-mask"),
        ({"vocab_size": "many"}, {"tokenizer_json": {"model": [1]}}, "fill-mask"),
    ],
)
def test_other_tokenizers_and_tasks_without_one_pass(
    tmp_path: Path, config: dict[str, Any], content: dict[str, Any], use: str
) -> None:
    check(files(tmp_path / "m", config_json=config, **content), Use(use))


def test_a_tokenizer_of_another_repository_is_no_fault_of_this_one(tmp_path: Path) -> None:
    check(files(tmp_path / "m", config_json={"vocab_size": 9}), Use("fill-mask", own_tokenizer=False))


@pytest.mark.parametrize(
    ("config", "passes"),
    [
        ({"label2id": {"contradiction": 0, "neutral": 1, "ENTAILMENT": 2}}, True),
        ({"id2label": {"0": "entail", "1": "not"}}, True),
        ({"label2id": {"NEGATIVE": 0, "POSITIVE": 1}}, False),
        ({"id2label": {"0": "not_entailment", "1": "x"}}, False),
        ({}, False),
        ({"label2id": {}, "id2label": None}, False),
    ],
)
def test_zero_shot_needs_a_label_of_entailment(tmp_path: Path, config: dict[str, Any], passes: bool) -> None:
    folder = files(tmp_path / "m", config_json=config, vocab_txt="a")
    check(folder, Use("text-classification"))
    if passes:
        check(folder, Use("zero-shot-classification"))
        return
    error = refused(folder, Use("zero-shot-classification"))
    assert error.kind is ErrorKind.UNTRAINED_HEAD and "no label that begins with 'entail'" in str(error)


def test_a_table_of_token_vectors_needs_no_tokenizer_of_transformers(tmp_path: Path) -> None:
    modules = [{"type": "sentence_transformers.models.StaticEmbedding", "path": "0_StaticEmbedding"}]
    folder = files(tmp_path / "m", modules_json=modules)
    assert refused(folder, Use("feature-extraction")).kind is ErrorKind.NO_TOKENIZER
    files(folder / "0_StaticEmbedding", tokenizer_json={})
    check(folder, Use("feature-extraction"))
    files(folder, modules_json=[*modules, {"type": "own.Layer", "path": "1_Layer"}])
    error = refused(folder, Use("feature-extraction"))
    assert error.kind is ErrorKind.UNUSABLE and "own.Layer is code of its own" in str(error)


def test_a_ranker_gives_one_score(tmp_path: Path) -> None:
    check(files(tmp_path / "one", config_json={"id2label": {"0": "x"}}, vocab_txt="a"), Use("text-ranking"))
    error = refused(files(tmp_path / "two", config_json={}, vocab_txt="a"), Use("text-ranking"))
    assert error.kind is ErrorKind.UNTRAINED_HEAD and "gives 2 scores" in str(error)


@pytest.mark.parametrize("family", others_slow(tiny_encoders.FAMILIES, "bert", "roberta", "deberta-v2"))
def test_an_encoder_serves_the_task_it_was_trained_for_and_its_vectors_and_no_other(
    family: str, tmp_path: Path
) -> None:
    others = ["token-classification", "question-answering", "fill-mask", "text-classification"]
    for (trained, auto_class), other in zip(HEADS.items(), others, strict=True):
        folder = tiny_encoders.build(family, tmp_path / trained, labels=["A", "B"])
        tiny_encoders.save_head(folder, auto_class)
        assert untrained_for(trained, folder) is None, (family, trained)
        assert untrained_for("feature-extraction", folder) is None, (family, trained)
        found = untrained_for(other, folder)
        assert found is not None and found.missing, (family, trained, other)
        assert found.trained_for == trained, (family, trained, other)


def test_a_body_without_a_head_serves_vectors_alone(tmp_path: Path) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModel")
    assert untrained_for("feature-extraction", folder) is None
    found = untrained_for("text-classification", folder)
    missing = ["classifier.bias", "classifier.weight"]
    assert found == Untrained(missing, "BertModel", "feature-extraction", other_head=False)


@pytest.mark.parametrize("format_", ["safetensors", "sharded", "bin"])
def test_every_form_of_weights_is_read(tmp_path: Path, format_: str) -> None:
    import torch

    folder = tiny_encoders.build("bert", tmp_path / "m")
    model = transformers.AutoModelForMaskedLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    if format_ == "bin":
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder, max_shard_size="20kB" if format_ == "sharded" else "1GB")
    assert (
        len(list(folder.glob("*.safetensors"))) == {"safetensors": 1, "bin": 0}.get(format_, 7)
        or format_ == "sharded"
    )
    assert untrained_for("fill-mask", folder) is None
    assert untrained_for("token-classification", folder) is not None


@pytest.mark.parametrize("task", ["image-segmentation", "no-such-task"])
@pytest.mark.usefixtures("in_process")
def test_a_task_that_nobody_can_tell_of_passes_and_is_named(tmp_path: Path, task: str) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    with pytest.raises(NotComparable):
        untrained_for(task, folder)
    for _ in range(2):  # also where it is known from the run before
        said = check(folder, Use(task), Use("fill-mask"), cache=tmp_path / "cache")
        assert said.keys() == {task} and "transformers" in said[task]


def test_weights_that_begin_as_no_weights_do_are_left_to_the_loader(
    tmp_path: Path, in_process: list[list[str]]
) -> None:
    folder = tiny_encoders.build("bert", tmp_path / "m")
    for content in (b"", b"no weights at all", b"\xff" * 100):
        (folder / "model.safetensors").write_bytes(content)
        said = check(folder, Use("text-classification"))
        assert said == {"text-classification": "no weight file begins as its format does"}
    assert in_process == []


@pytest.mark.usefixtures("in_process")
def test_an_untrained_head_is_an_error_of_the_warm_up_and_nothing_is_published(
    warming: Warming, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_encoders.save_head(tiny_encoders.build("bert", models / "org" / "mask"), "AutoModelForMaskedLM")
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        error = warming.error({**TINY, "model": "org/mask"})
    assert error["kind"] == "untrained head"
    assert error["message"].startswith(
        "org/mask has no trained weights for text-classification: classifier.bias, classifier.weight "
        "would be random. It was trained for fill-mask (BertForMaskedLM). Name a model that was"
    )
    assert warming.manifest("org/mask") is None


def test_a_head_that_the_config_promises_and_the_weights_lack_is_no_question_of_the_task() -> None:
    found = Untrained(["classifier.weight"], "BertForSequenceClassification", "text-classification", False)
    assert suitability._untrained_message("org/m", "text-classification", found) == (
        "org/m has no trained weights for text-classification: classifier.weight would be random. Its "
        "config.json says BertForSequenceClassification, its weights are others. Name a model or revision "
        "whose weights are all there"
    )


WRONG_SHAPE = '{"tasks": {"text-classification": {"untrained": 1}}}'


@pytest.mark.parametrize(
    ("says", "ends", "reason"),
    [
        ("", "exit 1", "the comparison failed: it said nothing"),
        ("not JSON", "exit 1", "the comparison failed: it said nothing"),
        ("[]", "echo Boom! >&2; exit 1", "the comparison failed: Boom!"),
        ("null", "exit 1", "the comparison failed: it said nothing"),
        (WRONG_SHAPE, "exit 0", "the comparison failed: it said nothing"),
        ('{"tasks": {}}', "kill -9 $$", "the comparison was killed (signal 9), most likely out of memory"),
    ],
)
def test_a_comparison_that_fails_leaves_it_to_the_loader_and_to_the_next_run_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, ends: str, reason: str
) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    interpreter = tmp_path / "interpreter"
    interpreter.write_text(f"#!/bin/sh\necho x >> {tmp_path}/runs\necho '{says}'\n{ends}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    for _ in range(2):
        said = check(folder, Use("text-classification"), cache=tmp_path / "cache")
        assert said == {"text-classification": reason}
    assert (tmp_path / "runs").read_text() == "x\nx\n"


def test_what_an_earlier_version_recorded_as_compared_is_compared(
    tmp_path: Path, in_process: list[list[str]]
) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    checks = tmp_path / "cache" / "checks" / "models--org--m" / f"{'c' * 40}.json"
    checks.parent.mkdir(parents=True)
    checks.write_text(json.dumps({"trained": ["text-classification"]}))
    with pytest.raises(WarmupError, match="no trained weights for text-classification"):
        check(folder, Use("text-classification"), cache=tmp_path / "cache")


def test_weights_that_end_early_are_left_to_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    cut = (folder / "model.safetensors").read_bytes()[:1000]
    (folder / "model.safetensors").write_bytes(cut)
    assert suitability._has_readable_weights(Snapshot("c" * 40, folder, (remote("model.safetensors"),)))
    with pytest.raises(SafetensorError):
        untrained_for("text-classification", folder)
    found = compare(folder, ["text-classification"]).tasks["text-classification"]
    assert found.failed is not None and found.failed.startswith("SafetensorError: ")


@pytest.mark.usefixtures("in_process")
def test_a_head_of_another_task_whose_weights_have_the_same_names_is_refused(tmp_path: Path) -> None:
    folder = tiny_encoders.build("bert", tmp_path / "m")
    tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")
    assert str(refused(folder, Use("ner"))) == (
        "org/m was trained for text-classification (BertForSequenceClassification), not for "
        "token-classification: that is what its classifier.bias, classifier.weight are for. "
        "Name a model that was trained for token-classification"
    )


def test_weights_are_compared_once_per_commit_and_task(tmp_path: Path, in_process: list[list[str]]) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    for uses in ((Use("fill-mask"),), (Use("fill-mask"), Use("feature-extraction")), (Use("fill-mask"),)):
        check(folder, *uses, cache=tmp_path / "cache")
    assert in_process == [["fill-mask"], ["feature-extraction"]]


def test_no_time_to_compare_leaves_it_to_the_next_run(tmp_path: Path) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    with pytest.raises(OutOfTime):
        check(folder, Use("fill-mask"), remaining_s=20.0)


@pytest.mark.parametrize("family", others_slow(tiny_seq2seq.FAMILIES, "bart", "t5"))
def test_an_encoder_decoder_serves_generation(family: str, tmp_path: Path) -> None:
    folder = tiny_seq2seq.build(family, tmp_path / "m")
    assert untrained_for("summarization", folder) is None
    assert untrained_for("feature-extraction", folder) is None


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes"])
def test_weights_that_are_quantised_for_other_packages_are_refused_with_what_to_name(
    tmp_path: Path, method: str
) -> None:
    folder = tiny_encoders.save_head(tiny_encoders.build("bert", tmp_path / "m"), "AutoModelForMaskedLM")
    path = folder / "config.json"
    described = {"quant_method": method, "bits": 4, "load_in_4bit": True}
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": described}))
    unusable = compare(folder, ["fill-mask"]).tasks["fill-mask"].unusable
    assert unusable is not None
    assert unusable.startswith(f"its weights are quantised ({method}), which is not read here (ImportError: ")
    assert unusable.endswith("Name the repository that it was made from: it is quantised here")
    described = {"quant_method": "of-somebody"}  # transformers passes over it
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": described}))
    assert compare(folder, ["fill-mask"]).tasks["fill-mask"].unusable is None
