"""Every task of pictures and sound, family and engine against transformers, over generated calls."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import soundfile
import transformers

from hf_lambda import onnx_engine, torch_engine
from tests import tiny_media
from tests.differential.calls import FILE_TASKS, Call, calls
from tests.differential.judging import Compared, differences, pipeline_over
from tests.families import others_slow
from tests.media_support import assert_same, base64_of, sound, tones
from warmup.prepare import PrepareRequest, prepare
from warmup.prepare.families import SOUND, VISION

QUICK, THOROUGH = 3, 8
HEADS = {
    **tiny_media.IMAGE_HEADS,
    "audio-classification": "ForAudioClassification",
    "automatic-speech-recognition": "ForCTC",
    "zero-shot-audio-classification": "",
}
ON_TORCH = {
    "zero-shot-audio-classification": ("clap",),
}
"""Families that no engine but torch has."""
PREPARED = {**VISION, **SOUND}
BUILT_AS = {"convnextv2": "convnext", "audio-spectrogram-transformer": "ast"}
WHISPER = ("whisper", "automatic-speech-recognition")
SOUNDS = tuple(base64_of(sound(tones(seconds))) for seconds in (0.1, 0.2))
"""Samples of the gate: the built-in ones are seconds, which networks of random weights take long for."""
QUICK_FAMILIES = {
    "image-classification": "vit",
    "image-feature-extraction": "vit",
    "object-detection": "yolos",
    "image-segmentation": "segformer",
    "depth-estimation": "glpn",
    "zero-shot-image-classification": "clip",
    "audio-classification": "wav2vec2",
    "automatic-speech-recognition": "wav2vec2",
    "zero-shot-audio-classification": "clap",
}
EVERY = [
    (task, family)
    for task in FILE_TASKS
    for family in dict.fromkeys(
        BUILT_AS.get(each, each) for each in (*PREPARED.get(task, ()), *ON_TORCH.get(task, ()))
    )
]


class ComparedFiles(Compared):
    def __init__(self, task: str, family: str, folder: Path) -> None:
        head = "ForSpeechSeq2Seq" if (family, task) == WHISPER else HEADS[task]
        snapshot = tiny_media.build(family, folder / "snapshot", head)
        self._task = task
        processors: dict[str, Any] = {}
        if "image" in task or task in ("object-detection", "depth-estimation"):
            load = transformers.AutoImageProcessor.from_pretrained
            processors["image_processor"] = load(str(snapshot), backend="pil")
        else:
            processors["feature_extractor"] = str(snapshot)
        self._theirs = transformers.pipeline(task, model=str(snapshot), device="cpu", **processors)
        ours = {"torch": torch_engine.load(task, snapshot)}
        if {family, *(name for name, built in BUILT_AS.items() if built == family)} & {
            *PREPARED.get(task, ())
        }:
            own = SOUNDS if task in SOUND else None
            request = PrepareRequest(task, "a/b", "c" * 40, snapshot, precision="fp32", samples=own)
            prepared = Path(prepare(request, into=folder, isolated=False).path)
            ours["onnx"] = onnx_engine.load(task, prepared)
        self.ours = {name: pipeline_over(task, engine) for name, engine in ours.items()}

    def judged(self, call: Call) -> Any:
        if isinstance(call.inputs, list):
            return [self._one(each, call.parameters) for each in call.inputs]
        return self._one(call.inputs, call.parameters)

    def _one(self, file: bytes, parameters: dict[str, Any]) -> Any:
        is_sound = "audio" in self._task or "speech" in self._task
        given = (
            soundfile.read(io.BytesIO(file), dtype="float32")[0]
            if is_sound
            else PIL.Image.open(io.BytesIO(file))
        )
        answer = self._theirs(given, **parameters)
        if self._task == "depth-estimation":
            depth = answer["predicted_depth"]
            return {
                "depth": answer["depth"],
                "min_depth": float(depth.min()),
                "max_depth": float(depth.max()),
            }
        return answer

    def same(self, got: Any, wanted: Any) -> None:
        assert_same(got, wanted, 1e-4)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], ComparedFiles]:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return lambda task, family: ComparedFiles(task, family, tmp_path_factory.mktemp(family))


@pytest.mark.parametrize("task", others_slow(FILE_TASKS, "image-classification", "audio-classification"))
def test_generated_files_are_answered_as_transformers_answers_them(compared, task):
    models = compared(task, QUICK_FAMILIES[task])
    assert set(models.ours) == ({"torch", "onnx"} if task in PREPARED else {"torch"})
    for engine in models.ours:
        assert differences(models, engine, calls(task, None, 0, QUICK)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("task", "family"), EVERY)
def test_every_family_answers_generated_files_as_transformers_does(compared, task, family):
    models = compared(task, family)
    for engine in models.ours:
        assert differences(models, engine, calls(task, None, 1, THOROUGH)) == []
