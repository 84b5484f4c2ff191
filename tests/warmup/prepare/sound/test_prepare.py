"""Models of sound, prepared: the same answers as transformers' own pipelines, or a reason."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import soundfile
import transformers

from hf_lambda import onnx_engine
from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.media.audio import Audio
from tests.families import others_slow
from tests.media_support import assert_same, base64_of, sound, tones
from tests.tiny_media import build
from warmup.prepare import NotPrepared, PrepareRequest, Tolerance, prepare
from warmup.prepare.families import SOUND

# WavLM of transformers 5.23 gives torch masks of two types.
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")

SPEECH, CLASSES = "automatic-speech-recognition", "audio-classification"
HEADS = {CLASSES: "ForAudioClassification", SPEECH: "ForCTC"}
BUILT_AS = {"audio-spectrogram-transformer": "ast"}
SHORT = tuple(base64_of(sound(tones(seconds, seed=seed))) for seed, seconds in enumerate((0.1, 0.13, 0.21)))
"""Samples of the gate: the built-in ones are seconds, which networks of random weights take long for."""
CALLS: dict[str, list[dict[str, Any]]] = {
    CLASSES: [{}, {"top_k": 2}, {"function_to_apply": "sigmoid"}],
    SPEECH: [
        {},
        {"return_timestamps": "char"},
        {"return_timestamps": "word"},
        {"chunk_length_s": 0.12},
        {"chunk_length_s": 0.12, "stride_length_s": [0.04, 0.02], "return_timestamps": "char"},
    ],
}
EVERY = [(task, family) for task, known in SOUND.items() for family in known if family != "whisper"]
FAST = [(CLASSES, "audio-spectrogram-transformer"), (SPEECH, "wav2vec2")]
GENERATE = {"num_beams", "max_new_tokens", "max_length", "language", "task", "prompt", "no_repeat_ngram_size"}
WHISPER: list[tuple[float, dict[str, Any]]] = [
    (0.3, {}),
    (0.3, {"prompt": "a cat", "num_beams": 2}),
    (2.7, {"return_timestamps": True}),
    (1.8, {"chunk_length_s": 0.8, "stride_length_s": [0.2, 0.1], "return_timestamps": True}),
]
MORE_WHISPER: list[tuple[float, dict[str, Any]]] = [
    (0.3, {"return_timestamps": True, "return_language": True}),
    (0.3, {"num_beams": 1, "max_new_tokens": 9, "language": "French"}),
    (0.3, {"language": "de", "task": "translate", "max_length": 12}),
    (1.0, {"return_timestamps": True, "num_beams": 1}),
    (1.01, {"task": "translate", "return_timestamps": True, "no_repeat_ngram_size": 2}),
    (2.7, {"prompt": "a cat", "return_timestamps": True, "num_beams": 1}),
    (2.7, {"chunk_length_s": 0.8}),
    (2.7, {"chunk_length_s": 0.8, "return_language": True}),
    (1.8, {"chunk_length_s": 1.4, "num_beams": 1, "return_timestamps": True}),
    (0.9, {"max_new_tokens": 30, "language": "<|de|>"}),
]


def made(folder: Path, task: str, snapshot: Path, precision: str = "fp32", **options: Any) -> Any:
    request = PrepareRequest(task, "org/m", "c" * 40, snapshot, precision, **{"samples": SHORT, **options})
    return prepare(request, into=folder, isolated=False)


def judge(task: str, snapshot: Path) -> Any:
    extractor = {"feature_extractor": str(snapshot)}
    return transformers.pipeline(task, model=str(snapshot), device="cpu", **extractor)


def is_same_as_transformers(folder: Path, task: str, family: str) -> None:
    snapshot = build(BUILT_AS.get(family, family), folder / "snapshot", HEADS[task])
    engine = onnx_engine.load(task, Path(made(folder, task, snapshot).path))
    theirs = judge(task, snapshot)
    for seconds in (0.08, 0.3):
        file = sound(tones(seconds))
        for chosen in CALLS[task]:
            (answer,) = engine([Audio(file)], **chosen)
            wave, _ = soundfile.read(io.BytesIO(file), dtype="float32")
            assert_same(answer, theirs(wave, **chosen), 1e-4)


@pytest.mark.parametrize(("task", "family"), FAST)
def test_a_prepared_model_answers_as_transformers_does(tmp_path, task, family):
    is_same_as_transformers(tmp_path, task, family)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "family"), [each for each in EVERY if each not in FAST])
def test_every_family_answers_as_transformers_does(tmp_path, task, family):
    is_same_as_transformers(tmp_path, task, family)


@pytest.mark.slow
def test_whisper_tells_classes_of_sound_apart_as_transformers_does(tmp_path):
    is_same_as_transformers(tmp_path, CLASSES, "whisper")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A Whisper that hears a second at once: prepared, and transformers' pipeline over it."""
    folder = tmp_path_factory.mktemp("whisper")
    snapshot = build("whisper", folder / "snapshot", "ForSpeechSeq2Seq")
    return onnx_engine.load(SPEECH, Path(made(folder, SPEECH, snapshot).path)), judge(SPEECH, snapshot)


def compared(whisper: tuple[Any, Any], seconds: float, chosen: dict[str, Any]) -> None:
    engine, theirs = whisper
    file = sound(tones(seconds))
    (answer,) = engine([Audio(file)], **chosen)
    options = {name: value for name, value in chosen.items() if name not in GENERATE}
    generate = {name: value for name, value in chosen.items() if name in GENERATE}
    if "prompt" in generate:
        ids = theirs.tokenizer.get_prompt_ids(generate.pop("prompt"), return_tensors="pt")
        generate["prompt_ids"] = ids
    wave, _ = soundfile.read(io.BytesIO(file), dtype="float32")
    assert_same(answer, theirs(wave, generate_kwargs=generate, **options), 1e-4)


@pytest.mark.parametrize(("seconds", "chosen"), others_slow(WHISPER, *WHISPER[:2], WHISPER[-1]))
def test_whisper_writes_what_transformers_writes(whisper, seconds, chosen):
    compared(whisper, seconds, chosen)


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "chosen"), MORE_WHISPER)
def test_whisper_writes_it_for_every_option(whisper, seconds, chosen):
    compared(whisper, seconds, chosen)


@pytest.mark.parametrize(
    ("seconds", "chosen", "reason"),
    [
        (1.01, {}, r"longer than the 1 s that the model hears at once: send `return_timestamps`: true"),
        (0.3, {"return_timestamps": "word"}, 'write engine="torch"'),
        (0.3, {"language": "klingon"}, "does not know the language 'klingon'"),
        (0.3, {"max_new_tokens": 39}, "the model has 40 positions"),
        (0.3, {"prompt": "a <|en|> cat"}, "one of the model's special tokens"),
        (0.3, {"chunk_length_s": 0.3, "stride_length_s": 0.2}, "larger than both strides together"),
    ],
)
def test_what_whisper_cannot_do_is_422_as_in_transformers(whisper, seconds, chosen, reason):
    with pytest.raises(Unprocessable, match=reason):
        whisper[0]([Audio(sound(tones(seconds)))], **chosen)


def test_a_model_of_english_alone_takes_no_language(tmp_path):
    snapshot = build("whisper", tmp_path / "snapshot", "ForSpeechSeq2Seq")
    options = transformers.GenerationConfig.from_pretrained(snapshot).to_dict()
    for name in ("lang_to_id", "task_to_id"):
        del options[name]
    transformers.GenerationConfig(**{**options, "is_multilingual": False}).save_pretrained(snapshot)
    engine = onnx_engine.load(SPEECH, Path(made(tmp_path, SPEECH, snapshot).path))
    compared((engine, judge(SPEECH, snapshot)), 0.3, {"num_beams": 1})
    with pytest.raises(Unprocessable, match="knows English alone: leave `language` out"):
        engine([Audio(sound(tones(0.3)))], language="en")


def test_options_that_the_decoding_loop_does_not_have_leave_a_whisper_to_torch(tmp_path):
    snapshot = build("whisper", tmp_path / "snapshot", "ForSpeechSeq2Seq")
    options = transformers.GenerationConfig.from_pretrained(snapshot).to_dict()
    transformers.GenerationConfig(**options, logprob_threshold=-1.0).save_pretrained(snapshot)
    with pytest.raises(NotPrepared, match="ships what the decoding loop does not do: `logprob_threshold`"):
        made(tmp_path, SPEECH, snapshot)


@pytest.mark.slow
def test_whispers_encoder_stays_fp32_unless_int8_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("warmup.prepare.onnx.quantize._MATRIX_BYTES", 1024)
    snapshot = build("whisper", tmp_path / "snapshot", "ForSpeechSeq2Seq")
    wide = Tolerance(same_text=0.0)  # random weights: nothing is the same in int8
    mixed = made(tmp_path / "auto", SPEECH, snapshot, "auto", tolerance=wide)
    whole = made(tmp_path / "int8", SPEECH, snapshot, "int8", tolerance=wide)
    assert (mixed.precision, whole.precision) == ("int8", "int8")
    assert mixed.agreement["int8"]["fp32_encoder"] == 1 and "fp32_encoder" not in whole.agreement["int8"]
    sizes = [(Path(entry.path) / "encoder.onnx.data").stat().st_size for entry in (mixed, whole)]
    assert sizes[0] > sizes[1]
    assert (Path(mixed.path) / "decoder.onnx.data").stat().st_size == (
        Path(whole.path) / "decoder.onnx.data"
    ).stat().st_size
    (answer,) = onnx_engine.load(SPEECH, Path(mixed.path))([Audio(sound(tones(0.3)))])
    assert isinstance(answer["text"], str)


def test_a_graph_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    from warmup.prepare.sound import export

    traced = export._Traced.forward
    monkeypatch.setattr(export._Traced, "forward", lambda self, features: traced(self, features) + 0.01)
    snapshot = build("ast", tmp_path / "snapshot", HEADS[CLASSES])
    with pytest.raises(
        NotPrepared, match=r"onnxruntime and transformers disagree: fp32: scores differ by 0\.0"
    ):
        made(tmp_path, CLASSES, snapshot)


def test_an_extractor_that_hears_otherwise_leaves_the_model_to_torch(tmp_path, monkeypatch):
    from warmup.prepare.sound import recipe

    snapshot = build("ast", tmp_path / "snapshot", HEADS[CLASSES])
    monkeypatch.setattr("hf_lambda.onnx_engine.sound.features._PREEMPHASIS", 0.9)
    with pytest.raises(NotPrepared, match="ASTFeatureExtractor makes other features of a sound"):
        made(tmp_path, CLASSES, snapshot)
    assert recipe._LARGEST < 1e-3


@pytest.mark.parametrize("broken", ["https://example.com/a.wav", base64_of(b"%PDF-1.7")])
def test_a_users_sample_that_is_no_sound_is_named(tmp_path, broken):
    snapshot = build("ast", tmp_path / "snapshot", HEADS[CLASSES])
    with pytest.raises(NotPrepared, match="gate sample 1 of audio-classification is no sound"):
        made(tmp_path, CLASSES, snapshot, samples=(broken,))


def test_what_letters_cannot_do_is_refused_with_the_reason(tmp_path):
    snapshot = build("wav2vec2", tmp_path / "snapshot", HEADS[SPEECH])
    engine = onnx_engine.load(SPEECH, Path(made(tmp_path, SPEECH, snapshot).path))
    file = sound(tones(0.1))
    with pytest.raises(Unprocessable, match="CTC can either predict character level timestamps"):
        engine([Audio(file)], return_timestamps=True)
    with pytest.raises(BadRequest, match="`prompt`: expected no prompt"):
        engine([Audio(file)], prompt="cat")
    with pytest.raises(Unprocessable, match="too short for this model"):
        engine([Audio(sound(tones(0.1)[:15]))])
