"""image-to-text: what `generate` of transformers writes of a picture, from both engines."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
import transformers

from hf_lambda import onnx_engine, torch_engine
from hf_lambda.errors import BadRequest, EngineUnavailable, Unprocessable
from hf_lambda.inputs import answer_to_one, read_inputs
from hf_lambda.media.image import Image
from tests.media_support import encoded, picture
from tests.tiny_media import build
from warmup.prepare import NotPrepared, PrepareRequest, prepare

FILES = [encoded(picture(60, 80)), encoded(picture(91, 47, seed=1), "JPEG"), encoded(picture(30, 20, seed=2))]
PREPARED = ("trocr", *(pytest.param(family, marks=pytest.mark.slow) for family in ("trocr-small", "donut")))
CALLS: list[dict[str, Any]] = [
    {"max_new_tokens": 12},
    {"max_new_tokens": 12, "num_beams": 3},
    {"max_length": 9, "num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.5},
    {"max_new_tokens": 8, "min_new_tokens": 8, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    {"max_new_tokens": 6, "prompt": "the cat"},
    {"max_length": 14, "num_beams": 2, "prompt": "<s>to", "min_new_tokens": 5},
]


@pytest.fixture(scope="module", params=PREPARED)
def made(request, tmp_path_factory):
    """A family, its snapshot and both engines over it."""
    folder = tmp_path_factory.mktemp(request.param)
    snapshot = build(request.param, folder / "snapshot")
    entry = prepare(
        PrepareRequest("image-to-text", "org/m", "c" * 40, snapshot, "fp32"), into=folder, isolated=False
    )
    assert entry.precision == "fp32"
    engines = {
        "onnx": onnx_engine.load("image-to-text", Path(entry.path)),
        "torch": torch_engine.load("image-to-text", snapshot),
    }
    return snapshot, engines


def theirs(snapshot: Path, file: bytes, call: dict[str, Any]) -> list[str]:
    """What `generate` writes, asked as transformers' documentation of TrOCR and Donut asks it."""
    model = transformers.VisionEncoderDecoderModel.from_pretrained(snapshot).eval()
    for module in model.modules():
        if type(module).__name__ == "TrOCRSinusoidalPositionalEmbedding":  # from_pretrained leaves it empty
            made_anew = type(module)(module.weights.shape[0], module.embedding_dim, module.padding_idx)
            module.weights = made_anew.weights
    pixels = transformers.AutoImageProcessor.from_pretrained(snapshot, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(snapshot)
    options = dict(call)
    if (prompt := options.pop("prompt", None)) is not None:
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        options["decoder_input_ids"] = ids
    if "max_length" in options:
        options["max_new_tokens"] = None
    image = PIL.Image.open(io.BytesIO(file)).convert("RGB")
    with torch.no_grad():
        made = model.generate(pixels(images=image, return_tensors="pt").pixel_values, **options)
    return [str(text) for text in tokenizer.batch_decode(made, skip_special_tokens=True)]


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS, ids=lambda call: "-".join(call))
@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_both_engines_write_what_generate_writes(made, engine, call):
    snapshot, engines = made
    answers = engines[engine]([Image(file) for file in FILES], **call)
    texts = [[record["generated_text"] for record in answer] for answer in answers]
    assert texts == [theirs(snapshot, file, call) for file in FILES]
    if "prompt" not in call:
        assert len({text for answer in texts for text in answer}) > 1  # it looks at the picture


def test_an_answer_has_the_form_of_transformers_4(made):
    _, engines = made
    items, is_list = read_inputs("image-to-text", (FILES[0],), {})
    assert not is_list
    for engine in engines.values():
        [result] = engine(items, max_new_tokens=3)
        assert [*answer_to_one("image-to-text", result, items[0])] == result
        assert [record.keys() for record in result] == [{"generated_text"}]


def test_a_prompt_that_leaves_no_room_is_refused(made):
    _, engines = made
    for engine in engines.values():
        with pytest.raises((BadRequest, Unprocessable)):
            engine([Image(FILES[0])], max_length=5, prompt="a long beginning of a text")


@pytest.mark.slow
def test_int8_is_judged_by_what_it_writes(tmp_path):
    snapshot = build("trocr", tmp_path / "snapshot")
    request = PrepareRequest("image-to-text", "org/m", "c" * 40, snapshot)
    entry = prepare(request, into=tmp_path, isolated=False)
    assert {"same_text", "same_choice", "score_difference"} <= entry.agreement["int8"].keys()
    assert entry.precision == "int8" or "of the samples" in str(entry.reason)


def test_blip_is_answered_by_torch_with_and_without_a_prompt(tmp_path):
    snapshot = build("blip", tmp_path, "ForImageTextToText")
    engine = torch_engine.load("image-to-text", snapshot)
    model = transformers.BlipForConditionalGeneration.from_pretrained(snapshot).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(snapshot, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(snapshot)
    image = PIL.Image.open(io.BytesIO(FILES[0]))
    given = {"pixel_values": pixels(images=image, return_tensors="pt").pixel_values}
    for prompt in (None, "a cat"):
        if prompt:
            given |= dict(tokenizer(prompt, return_tensors="pt"))
            given.pop("token_type_ids", None)
        expected = tokenizer.batch_decode(model.generate(**given, max_new_tokens=8), skip_special_tokens=True)
        [[record]] = engine([Image(FILES[0])], max_new_tokens=8, **({"prompt": prompt} if prompt else {}))
        assert record["generated_text"] == expected[0]
    request = PrepareRequest("image-to-text", "org/m", "c" * 40, snapshot)
    with pytest.raises(NotPrepared, match="blip models are not prepared for image-to-text"):
        prepare(request, into=tmp_path / "prepared", isolated=False)


def test_another_decoder_stays_on_torch_with_the_reason(tmp_path):
    snapshot = tmp_path / "snapshot"
    build("trocr", snapshot)
    vit = transformers.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=32)
    gpt2 = transformers.GPT2Config(vocab_size=100, n_embd=32, n_layer=1, n_head=4, n_positions=48)
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(vit, gpt2)
    config.decoder_start_token_id, config.pad_token_id = 1, 0
    transformers.VisionEncoderDecoderModel(config).save_pretrained(snapshot)
    with pytest.raises(NotPrepared, match="its decoder is a gpt2; prepared are mbart, trocr"):
        prepare(PrepareRequest("image-to-text", "org/m", "c" * 40, snapshot), into=tmp_path, isolated=False)
    [[record]] = torch_engine.load("image-to-text", snapshot)([Image(FILES[0])], max_new_tokens=4)
    assert isinstance(record["generated_text"], str)


def test_a_model_that_writes_nothing_is_refused(tmp_path):
    with pytest.raises(EngineUnavailable, match="vit models have no image-to-text"):
        torch_engine.load("image-to-text", build("vit", tmp_path, "ForImageClassification"))
