"""Pictures and sound in the benchmark: models of the published sizes, and everybody is asked alike."""

import ast
import importlib.util
import wave
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench import cache, contenders, media, plot, report, workloads
from bench.figures import Measured
from bench.workloads import WORKLOADS
from hf_lambda.manifest import Manifest, PreparedEntry, write_manifest

BY_NAME = {workload.name: workload for workload in WORKLOADS}
_NARROW = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
TINY = {
    "vit": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
    "detr": {**_NARROW, "num_queries": 5},
    "whisper": _NARROW,
}


@pytest.mark.parametrize(
    ("config", "auto_class", "millions"),
    [
        (media.vit, "AutoModelForImageClassification", 86),
        (media.clip, "AutoModelForZeroShotImageClassification", 151),
        (media.detr, "AutoModelForObjectDetection", 41),
        (media.whisper, "AutoModelForSpeechSeq2Seq", 244),
    ],
)
def test_the_models_have_as_many_parameters_as_the_published_ones(config, auto_class, millions):
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, auto_class).from_config(config())
    assert sum(each.numel() for each in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize(("workload", "config"), [("ViT-B", "vit"), ("DETR-R50", "detr")])
def test_the_ancestor_answers_a_picture(tmp_path, monkeypatch, workload, config):
    answer = _ancestor(BY_NAME[workload], config, tmp_path, monkeypatch)
    assert isinstance(answer, list)
    assert len(answer) == (5 if config == "vit" else 0)  # nothing is likelier than a half in random weights


@pytest.mark.slow
def test_the_ancestor_writes_64_words_of_half_a_minute(tmp_path, monkeypatch):
    answer = _ancestor(BY_NAME["Whisper-small"], "whisper", tmp_path, monkeypatch)
    assert answer["text"].count("w") == media.SPEECH_TOKENS


def test_whispers_tokens_are_where_the_published_ones_are():
    tokenizer = media._whisper_tokenizer()
    names = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|notimestamps|>", "<|0.00|>", "<|30.00|>")
    assert tokenizer.convert_tokens_to_ids(list(names)) == [50257, 50258, 50259, 50363, 50364, 51864]
    assert len(tokenizer) == media.whisper().vocab_size


def test_clip_reads_a_word_as_a_token():
    tokenizer = media._word_tokenizer(49_408)
    tokens = tokenizer("This is a photo of two cats on a sofa.")["input_ids"]
    assert (tokens[0], tokens[-1], len(tokens)) == (49_406, 49_407, 13)
    assert tokenizer.unk_token_id not in tokens


def test_the_sound_lasts_half_a_minute_and_the_picture_has_640_pixels_by_480():
    from PIL import Image

    with wave.open(BytesIO(b64decode(media.half_a_minute()))) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (16_000, 480_000)
    assert Image.open(BytesIO(b64decode(media.photograph()))).size == (640, 480)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.name)
def test_every_handler_reads_what_the_events_hold(workload, tmp_path):
    fields = {name for event in workload.events.values() for name in event}
    for contender in contenders.contenders(workload, tmp_path):
        program = (contender.folder / f"{contender.module}.py").read_text()
        functions = {e.name: e for e in ast.parse(program).body if isinstance(e, ast.FunctionDef)}
        if contender.folder == tmp_path:
            assert {each.arg for each in functions["handler"].args.args} == fields
        else:
            assert all(f'event["{name}"]' in program for name in fields), contender.name


def test_what_the_gate_refused_is_a_note_and_is_not_measured(tmp_path):
    workload = BY_NAME["DETR-R50"]
    fp32 = PreparedEntry("object-detection", "fp32", "fp32", "a", "x86_64", "1.32.0")
    int8 = PreparedEntry("object-detection", "int8", "fp32", "b", "x86_64", "1.32.0", reason="3 are missed")
    (tmp_path / "hub").mkdir()
    write_manifest(tmp_path, Manifest(workload.model, "main", "c" * 40, "hub", (), 0, "now", (fp32, int8)))
    assert cache.refused_precisions(tmp_path, workload) == {"int8"}
    assert "refused in int8" in cache._note(workload, int8) and "3 are missed" in cache._note(workload, int8)


def test_a_gate_that_was_open_is_a_note_with_what_it_found():
    found = {"int8": {"same_text": 0.25, "same_choice": 0.9}}
    entry = PreparedEntry("speech", "auto", "int8", "a", "x86_64", "1.32.0", agreement=found)
    note = cache._note(BY_NAME["Whisper-small"], entry)
    assert "prepared in auto" in note and "same_text 0.25 (0.75 is asked), same_choice 0.9" in note


def test_a_target_is_judged_by_one_thread_where_that_alone_was_measured():
    field = {
        "ancestor": {"one_cpu_first_s": [4.0], "one_cpu_s": [0.3], "peak_mb": [900]},
        "hf-lambda int8": {"one_cpu_first_s": [0.25], "one_cpu_s": [0.1], "peak_mb": [300]},
    }
    page = report.page([Measured("ViT-B", 1, "a machine", field)]).splitlines()
    assert "| ViT-B: first answer, one thread | 12x | 16.0x | | held |" in page
    assert "| ViT-B: warm, one thread | 4x | 3.0x | | missed by 25 % |" in page
    assert "| ViT-B: peak memory | 2x | 3.0x | | held |" in page
    assert "| hf-lambda int8 | 0.25 (16.0x) | 100.0 (3.0x) | 300 (3.0x) |" in "\n".join(page)
    drawn = plot.svg([Measured("ViT-B", 1, "a machine", field)])
    assert all(text in drawn for text in ("cold, one thread", "4.00 s", "warm, one thread", "300 ms"))


def _ancestor(workload, config: str, tmp_path: Path, monkeypatch) -> Any:
    """What the ancestor's handler says to the first event, of a tiny model that our code writes."""
    sizes = {**getattr(media, config)().to_diff_dict(), **TINY[config]}
    if config == "detr":
        sizes["backbone_config"] = _tiny_backbone()
    made = type(getattr(media, config)())(**sizes)
    monkeypatch.setattr(media, config, lambda: made)
    workloads.build(tmp_path, {workload.model})
    monkeypatch.setenv("BENCH_MODEL", str(tmp_path / workload.model))
    monkeypatch.setenv("BENCH_TASK", workload.task)
    ancestor = contenders.contenders(workload, tmp_path)[0]
    answer = _module(ancestor.folder / f"{ancestor.module}.py").handler(
        next(iter(workload.events.values())), None
    )
    assert answer["statusCode"] == 200
    return answer["body"]


def _tiny_backbone() -> object:
    from transformers import ResNetConfig

    return ResNetConfig(
        embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, out_features=["stage4"], layer_type="basic"
    )


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
