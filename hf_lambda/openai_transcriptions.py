"""OpenAI's /v1/audio/transcriptions and /v1/audio/translations over a pipeline of speech recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import BadRequest, ServingError, Unprocessable
from .media.audio import Audio
from .pipeline import Pipeline
from .records import Json
from .signature import Mismatch, json_type

_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_KNOWN = {"file", "model", "language", "prompt", "response_format", "temperature", "user"}
_KNOWN |= {"timestamp_granularities"}
_NEUTRAL: dict[str, tuple[Json, ...]] = {
    "stream": (False, "false"),
    "include": ([],),
    "chunking_strategy": ("auto",),
}
"""Fields that are not built here, with the values that ask for nothing."""
_WINDOW_S = 30.0
"""Whisper hears so much at once; what is longer it goes through by its timestamps."""
_SEGMENTS: tuple[Json, ...] = (True, "word", None)
"""Whisper has segments, CTC only words."""


@dataclass(frozen=True)
class Transcript:
    """content: JSON, or the text itself in one of the formats that are no JSON."""

    content: dict[str, Json] | str
    content_type: str = "text/plain; charset=utf-8"
    """Of a text."""


@dataclass(frozen=True)
class _Piece:
    start: float
    end: float
    text: str


def transcript(served: Pipeline, body: Mapping[str, Json], *, translates: bool = False) -> Transcript:
    """The answer to a request, whose `file` is bytes or base64. Raises ServingError."""
    _check_fields(body)
    form = body.get("response_format") or "json"
    if form not in _FORMATS:
        raise BadRequest("response_format", f"one of {', '.join(_FORMATS)}", repr(form))
    wanted = _granularities(body, form)
    audio = _audio(body.get("file"))
    parameters = _parameters(body, translates=translates)
    with_segments = form in ("srt", "vtt") or (form == "verbose_json" and "segment" in wanted)
    told, by_words, by_segments = form == "verbose_json", None, None
    if form == "verbose_json" and "word" in wanted:
        # Before anything else: a model without times of words refuses before it hears anything.
        by_words = _heard(served, audio, parameters, ("word",), told=told)
    if with_segments or by_words is None:
        ways = _SEGMENTS if with_segments or audio.seconds > _WINDOW_S else (None,)
        by_segments = _heard(served, audio, parameters, ways, told=told, known=by_words)
    heard = by_segments or by_words or {}
    text = str(heard["text"]).strip()
    if form == "json":
        seconds = {"type": "duration", "seconds": round(audio.seconds, 2)}
        return Transcript({"text": text, "usage": seconds})
    if form == "text":
        return Transcript(f"{text}\n")
    segments = _pieces(heard, audio.seconds) if with_segments else []
    if form == "srt":
        return Transcript(_srt(segments))
    if form == "vtt":
        return Transcript(_vtt(segments))
    answer: dict[str, Json] = {
        "task": "translate" if translates else "transcribe",
        "language": body.get("language") or _language(heard),
        "duration": round(audio.seconds, 2),
        "text": text,
        "usage": {"type": "duration", "seconds": round(audio.seconds, 2)},
    }
    if "segment" in wanted:
        temperature = parameters.get("temperature", 0.0)
        answer["segments"] = [_segment(index, each, temperature) for index, each in enumerate(segments)]
    if by_words is not None:
        words = _pieces(by_words, audio.seconds)
        answer["words"] = [{"word": each.text, "start": each.start, "end": each.end} for each in words]
    return Transcript(answer)


def _check_fields(body: Mapping[str, Json]) -> None:
    for name, value in body.items():
        if name not in _KNOWN and value is not None and value not in _NEUTRAL.get(name, ()):
            known = ", ".join(sorted(_KNOWN))
            raise BadRequest(name, f"one of {known}", "a field that is not supported here")


def _granularities(body: Mapping[str, Json], form: str) -> list[str]:
    given = body.get("timestamp_granularities")
    names = [given] if isinstance(given, str) else given
    if names is None or names == []:
        return ["segment"]
    if not isinstance(names, list) or not all(name in ("word", "segment") for name in names):
        raise BadRequest("timestamp_granularities", "an array of word and segment", json_type(given))
    if form != "verbose_json":
        raise BadRequest("timestamp_granularities", "response_format verbose_json with it", form)
    return [str(name) for name in names]


def _audio(given: Json) -> Audio:
    if given is None:
        raise BadRequest("file", "a sound file", "nothing")
    try:
        return Audio.from_json(given)
    except Mismatch as mismatch:
        raise BadRequest("file", mismatch.expected, mismatch.given) from None
    except Unprocessable as problem:
        problem.field = "file"
        raise


def _parameters(body: Mapping[str, Json], *, translates: bool) -> dict[str, Json]:
    """What the pipeline is called with."""
    chosen: dict[str, Json] = {
        name: body[name] for name in ("language", "prompt") if body.get(name) not in (None, "")
    }
    if translates:
        chosen["task"] = "translate"
    temperature = _number(body.get("temperature"))
    if temperature:
        chosen |= {"do_sample": True, "temperature": temperature}
    return chosen


def _number(given: Json) -> float:
    """A form has it as text."""
    try:
        value = 0.0 if given in (None, "") else float(given)
    except (TypeError, ValueError):
        raise BadRequest("temperature", "a number from 0 to 1", json_type(given)) from None
    if isinstance(given, bool) or not 0 <= value <= 1:
        raise BadRequest("temperature", "a number from 0 to 1", repr(given)[:20])
    return value


def _heard(
    served: Pipeline,
    audio: Audio,
    parameters: dict[str, Json],
    ways: Sequence[Json],
    *,
    told: bool,
    known: dict[str, Json] | None = None,
) -> dict[str, Json]:
    """The pipeline's answer with the first of `ways`, values of `return_timestamps`, that this model has.

    told: with the language too, where the model knows it. known: the answer by words, where it is there.
    """
    tried: list[dict[str, Json]] = [{"return_timestamps": way} if way else {} for way in ways]
    if told and "language" not in parameters:
        tried = [{**tried[0], "return_language": True}, *tried]
    for asked in tried:
        if known is not None and asked.get("return_timestamps") == "word":
            return known
        try:
            return dict(served(audio, **parameters, **asked))
        except ServingError as refusal:
            # Which of them a model has its pipeline alone knows, and says before it hears anything.
            is_last = asked is tried[-1]
            if is_last or not any(word in refusal.message for word in ("timestamp", "language")):
                raise
    raise AssertionError


def _pieces(heard: Mapping[str, Json], duration: float) -> list[_Piece]:
    found = []
    for chunk in heard.get("chunks") or ():
        start, end = chunk["timestamp"]
        begin = 0.0 if start is None else float(start)
        found.append(_Piece(begin, duration if end is None else float(end), str(chunk["text"]).strip()))
    text = str(heard["text"]).strip()
    return found or ([_Piece(0.0, duration, text)] if text else [])


def _language(heard: Mapping[str, Json]) -> str:
    """What the model heard it was; empty where it does not tell."""
    found = [chunk.get("language") for chunk in heard.get("chunks") or ()]
    return str(next(filter(None, found), ""))


def _segment(index: int, piece: _Piece, temperature: float) -> dict[str, Json]:
    """What the pipeline does not tell is null."""
    return {
        "id": index,
        "seek": 0,
        "start": piece.start,
        "end": piece.end,
        "text": piece.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": None,
        "compression_ratio": None,
        "no_speech_prob": None,
    }


def _srt(pieces: Sequence[_Piece]) -> str:
    blocks = [
        f"{number}\n{_time(each.start, ',')} --> {_time(each.end, ',')}\n{_lines(each.text)}\n"
        for number, each in enumerate(pieces, start=1)
    ]
    return "\n".join(blocks)


def _vtt(pieces: Sequence[_Piece]) -> str:
    blocks = [
        f"{_time(each.start, '.')} --> {_time(each.end, '.')}\n{_lines(each.text)}\n" for each in pieces
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _lines(text: str) -> str:
    """An empty line would end the block, and an arrow begin another."""
    return " ".join(text.split()).replace("-->", "->")


def _time(seconds: float, mark: str) -> str:
    whole = round(max(seconds, 0.0) * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
