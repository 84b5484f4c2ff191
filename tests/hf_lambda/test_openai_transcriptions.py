"""OpenAI's transcriptions over pipelines of speech, in every format, of files and of base64."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from hf_lambda import openai, pipeline
from hf_lambda.errors import Unprocessable
from hf_lambda.pipeline import LoadedEngine
from hf_lambda.torch_engine import load
from tests.media_support import sound, tones
from tests.tiny_media import build

SOUND = sound(tones(0.6))
CHUNKS: list[dict[str, Any]] = [
    {"timestamp": (0.0, 1.5), "text": " Hello there."},
    {"timestamp": (61.25, None), "text": " Good --> bye."},
]


class Whisper:
    """Says the same, with times where they are asked for; tells how it was asked."""

    def __init__(self, refuses: str = "") -> None:
        self.asked: list[dict[str, Any]] = []
        self.refuses = refuses

    def __call__(self, inputs: list[Any], **parameters: Any) -> list[Any]:
        self.asked.append(parameters)
        if parameters.get("return_timestamps") is True and self.refuses:
            raise Unprocessable(None, self.refuses)
        answer: dict[str, Any] = {"text": " Hello there. Good bye."}
        if parameters.get("return_timestamps"):
            answer["chunks"] = [dict(chunk) for chunk in CHUNKS]
        if parameters.get("return_language"):
            answer["chunks"] = [{**chunk, "language": "english"} for chunk in answer.get("chunks", [{}])]
        return [answer for _ in inputs]


def handler_of(engine, monkeypatch):
    served = pipeline("automatic-speech-recognition", model="org/ears")
    monkeypatch.setattr(served, "_loaded", lambda: LoadedEngine(engine, "torch", 0.0, []))
    return openai(served)


@pytest.fixture
def ears():
    return Whisper()


@pytest.fixture
def handler(ears, monkeypatch):
    return handler_of(ears, monkeypatch)


def event(body: bytes, kind: str, path: str = "/v1/audio/transcriptions") -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": path,
        "headers": {"content-type": kind},
        "requestContext": {"http": {"method": "POST", "path": path}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def upload(handler, path="/v1/audio/transcriptions", file: bytes = SOUND, **fields: Any):
    parts = [b'name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n' + file]
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        name = f"{name}[]" if isinstance(value, list) else name
        parts += [f'name="{name}"\r\n\r\n{each}'.encode() for each in values]
    body = b"".join(b"--b0\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
    answer = handler(event(body + b"--b0--\r\n", "multipart/form-data; boundary=b0", path))
    is_json = answer["headers"]["content-type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"]) if is_json else answer["body"]


def test_json_is_the_text_alone(handler, ears):
    status, answer = upload(handler, model="org/ears")
    assert (status, answer["text"]) == (200, "Hello there. Good bye.")
    assert answer["usage"] == {"type": "duration", "seconds": 0.6}
    assert ears.asked == [{}]


def test_options_become_parameters_of_the_pipeline(handler, ears):
    asked: dict[str, Any] = {
        "language": "en",
        "prompt": "Names: Ada.",
        "temperature": "0.4",
        "response_format": "text",
    }
    assert upload(handler, **asked) == (200, "Hello there. Good bye.\n")
    assert ears.asked == [{"language": "en", "prompt": "Names: Ada.", "do_sample": True, "temperature": 0.4}]
    assert upload(handler, "/v1/audio/translations", temperature="0")[0] == 200
    assert ears.asked[1] == {"task": "translate"}


def test_subtitles_have_times_and_end_with_the_sound(handler):
    assert upload(handler, response_format="srt")[1] == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:01:01,250 --> 00:00:00,600\nGood -> bye.\n"
    )
    assert upload(handler, response_format="vtt")[1] == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n"
        "00:01:01.250 --> 00:00:00.600\nGood -> bye.\n"
    )


def test_verbose_json_has_segments_language_and_words(handler, ears):
    status, answer = upload(handler, response_format="verbose_json")
    assert (status, answer["language"], answer["duration"]) == (200, "english", 0.6)
    assert [(each["id"], each["start"], each["end"]) for each in answer["segments"]] == [
        (0, 0.0, 1.5),
        (1, 61.25, 0.6),
    ]
    assert "words" not in answer
    answer = upload(handler, response_format="verbose_json", timestamp_granularities=["word"])[1]
    assert answer["words"][0] == {"word": "Hello there.", "start": 0.0, "end": 1.5}
    assert "segments" not in answer and answer["language"] == "english"


def granularity(handler, *names: str):
    return upload(handler, response_format="verbose_json", timestamp_granularities=[*names])


def test_a_sound_is_heard_once_for_each_kind_of_times(monkeypatch):
    ears = Whisper()
    handler = handler_of(ears, monkeypatch)
    assert granularity(handler, "word")[0] == 200
    assert [asked["return_timestamps"] for asked in ears.asked] == ["word"]
    assert {*granularity(handler, "segment", "word")[1]} >= {"segments", "words"}
    assert [asked["return_timestamps"] for asked in ears.asked[1:]] == ["word", True]
    ctc = Whisper(refuses="no timestamps of segments")
    answer = granularity(handler_of(ctc, monkeypatch), "segment", "word")[1]
    assert [asked["return_timestamps"] for asked in ctc.asked if asked["return_timestamps"] == "word"] == [
        "word"
    ]
    assert [each["text"] for each in answer["segments"]] == [each["word"] for each in answer["words"]]


def test_a_model_without_segments_gives_the_times_that_it_has(monkeypatch):
    ears = Whisper(refuses="CTC can either predict character level timestamps")
    handler = handler_of(ears, monkeypatch)
    assert "00:00:01,500" in upload(handler, response_format="srt")[1]
    assert [asked["return_timestamps"] for asked in ears.asked] == [True, "word"]
    ears.refuses = "the sound is no sound"
    assert upload(handler, response_format="srt")[0] == 422


def test_base64_comes_without_http_too(handler):
    answer = handler({"file": base64.b64encode(SOUND).decode(), "prompt": "x"})
    assert answer["body"]["text"] == "Hello there. Good bye."
    answer = handler({"file": base64.b64encode(SOUND).decode(), "response_format": "srt"})
    assert answer["body"].startswith("1\n00:00:00,000")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"response_format": "mp3"}, 400, "response_format"),
        ({"temperature": "warm"}, 400, "temperature"),
        ({"temperature": "2"}, 400, "temperature"),
        ({"timestamp_granularities": ["word"]}, 400, "timestamp_granularities"),
        ({"timestamp_granularities": ["letter"]}, 400, "timestamp_granularities"),
        ({"stream": "true"}, 400, "stream"),
        ({"include": ["logprobs"]}, 400, "include"),
        ({"model": "gpt-9"}, 404, "model"),
        ({"file": b"no sound at all"}, 422, "file"),
        ({"language": "\ud83d"}, 400, None),
    ],
)
def test_what_is_not_built_is_refused_by_name(handler, fields, status, param):
    if fields.get("language"):
        found = handler(event(b'{"file": "x", "language": "\\ud83d"}', "application/json"))
        assert found["statusCode"] == status
        return
    found, answer = upload(handler, **fields)
    assert (found, answer["error"]["param"]) == (status, param)


def test_a_body_that_is_no_form_is_a_400(handler):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "multipart/mixed; boundary=x"):
        assert handler(event(b"--y--", kind))["statusCode"] == 400
    assert handler(event(SOUND, "audio/wav"))["statusCode"] == 400


def test_a_tiny_model_of_torch_is_heard_in_every_format(tmp_path, monkeypatch):
    engine = load("automatic-speech-recognition", build("wav2vec2", tmp_path, "ForCTC"))
    handler = handler_of(engine, monkeypatch)
    plain = upload(handler)[1]["text"]
    assert upload(handler, response_format="text") == (200, f"{plain}\n")
    status, answer = upload(handler, response_format="verbose_json", timestamp_granularities=["word"])
    assert (status, answer["text"]) == (200, plain)
    assert " ".join(each["word"] for each in answer["words"]).split() == plain.split()
    assert upload(handler, response_format="vtt")[1].startswith("WEBVTT\n\n")
    status, answer = upload(handler, prompt="x")
    assert (status, answer["error"]["param"]) == (400, "prompt")


def test_a_tiny_whisper_tells_segments_and_language(tmp_path, monkeypatch):
    engine = load("automatic-speech-recognition", build("whisper", tmp_path, "ForSpeechSeq2Seq"))
    handler = handler_of(engine, monkeypatch)
    status, answer = upload(handler, response_format="verbose_json")
    assert status == 200
    assert answer["segments"] and all(each["start"] <= each["end"] for each in answer["segments"])
    assert upload(handler, response_format="srt", language="en")[0] == 200
