"""Sound of requests: one channel at the model's rate, refused from its header."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from hf_lambda.errors import Unprocessable
from hf_lambda.media.audio import Audio
from hf_lambda.media.resampling import resampled
from hf_lambda.signature import Mismatch
from tests.media_support import base64_of, sound, tones


@pytest.mark.parametrize(
    ("kind", "subtype", "near"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "FLOAT", 0),
        ("WAV", "PCM_U8", 1e-2),
        ("FLAC", "PCM_24", 1e-6),
        ("AIFF", None, 1e-4),
        ("OGG", "VORBIS", None),
        ("OGG", "OPUS", None),
        ("MP3", None, None),
    ],
)
def test_every_format_gives_the_same_sound(kind, subtype, near):
    wave = tones(0.5)
    audio = Audio(sound(wave, 16_000, kind, subtype))
    samples = audio.samples(16_000)
    assert (audio.format, audio.channels, audio.rate) == (kind, 1, 16_000)
    assert samples.dtype == np.float32
    if near is None:  # packed by ear, and with a few silent samples around it
        assert abs(len(samples) - len(wave)) < 3000
        assert abs(np.abs(samples).mean() - np.abs(wave).mean()) < 0.05
    else:
        assert np.abs(samples - wave).max() <= near


def test_two_channels_are_mixed_by_power_as_ffmpeg_mixes_them():
    wave = tones(0.2, channels=2)
    mixed = Audio(sound(wave, subtype="FLOAT")).samples(16_000)
    assert np.allclose(mixed, (wave[:, 0] + wave[:, 1]) * 0.70710678, atol=1e-6)


def test_more_channels_are_averaged():
    wave = tones(0.2, channels=4)
    assert np.allclose(Audio(sound(wave, subtype="FLOAT")).samples(16_000), wave.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 22_051])
def test_a_tone_keeps_its_pitch_and_strength_at_another_rate(rate):
    def tone(at):
        return np.sin(2 * np.pi * 440 * np.arange(at) / at).astype(np.float32)

    wanted, got = tone(16_000), resampled(tone(rate), rate, 16_000)
    assert len(got) == 16_000
    assert np.abs(got - wanted)[500:-500].max() < 2e-4


def test_what_the_lower_rate_cannot_hold_is_filtered_out():
    wave = np.sin(2 * np.pi * 15_000 * np.arange(48_000) / 48_000).astype(np.float32)
    assert np.abs(resampled(wave, 48_000, 16_000)[500:-500]).max() < 1e-3


@pytest.mark.parametrize("length", [1, 2, 3, 100])
def test_a_sound_shorter_than_the_filter_is_resampled_too(length):
    wave = np.full(length, 0.5, np.float32)
    assert len(resampled(wave, 44_100, 16_000)) == -(-length * 160 // 441)
    assert np.allclose(resampled(wave[1:], 8_000, 16_000), 0.5, atol=0.5)


def test_json_has_sound_in_base64_and_never_as_a_url():
    data = sound(tones(0.1))
    assert Audio.from_json(base64_of(data)).data == data
    assert Audio.from_json(f"data:audio/wav;base64,{base64_of(data)}").seconds == pytest.approx(0.1)
    refused: tuple[object, ...] = ("https://example.com/a.wav", "/tmp/a.wav", 3, {})
    for given in refused:
        with pytest.raises(Mismatch):
            Audio.from_json(given)


WITH_AV = "an endpoint reads these too with `av` in inference/requirements.txt"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x20ftypM4A \0\0\0\0", f"an M4A file; {WITH_AV}"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", f"an MP4 file; {WITH_AV}"),
        (b"\x1a\x45\xdf\xa3\0\0", f"a WebM file; {WITH_AV}"),
        (b"#!AMR\n", f"an AMR file; {WITH_AV}"),
        (b"\x30\x26\xb2\x75\x8e\x66", f"a WMA file; {WITH_AV}"),
        (b"\xff\xf1\x50\x80", f"an AAC file; {WITH_AV}"),
        (b"\x89PNG\r\n\x1a\n", "a PNG file"),
        (b"hello", "5 bytes of an unknown format"),
    ],
)
def test_another_format_is_named_with_those_that_are_accepted(data, name):
    with pytest.raises(Unprocessable) as refusal:
        Audio(data)
    assert name in refusal.value.message
    assert "WAV, FLAC, MP3, OGG, AIFF" in refusal.value.message


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_damaged_file_is_refused_or_read_as_far_as_it_goes(kind):
    data = sound(tones(2.0), kind=kind)
    for length in (30, len(data) // 2):
        try:
            samples = Audio(data[:length]).samples(16_000)
        except Unprocessable as refusal:
            assert kind in refusal.message or "unknown" in refusal.message
        else:
            assert 0 < len(samples) < 33_000


def test_hours_are_refused_from_the_header(monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    data = bytearray(sound(np.zeros(44_100, np.int16), 44_100))
    frames = 3 * 3600 * 44_100
    data[40:44], data[4:8] = struct.pack("<I", 2 * frames), struct.pack("<I", 2 * frames + 36)
    silence = sound(np.zeros(3600 * 8_000, np.int16), 8_000, "FLAC")
    assert len(silence) < 200_000
    for given in (bytes(data), silence):
        try:
            Audio(given)
        except Unprocessable as refusal:
            assert "minutes; this function's memory allows" in refusal.message
        else:  # libsndfile believes the file's length rather than the header's
            assert given is not silence


@pytest.mark.parametrize("rate", [1, 4_000_000])
def test_a_rate_that_nothing_records_at_is_damage(rate):
    data = bytearray(sound(tones(0.1)))
    data[24:28] = struct.pack("<I", rate)
    with pytest.raises(Unprocessable, match="damaged"):
        Audio(bytes(data))


def with_length(data: bytes, of_sound: int, of_file: int) -> bytes:
    """A WAV with other lengths in its header."""
    return data[:4] + struct.pack("<I", of_file) + data[8:40] + struct.pack("<I", of_sound) + data[44:]


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**32 - 1])
def test_a_wav_that_was_written_to_a_pipe_has_no_length_and_is_heard_to_its_end(size):
    whole = sound(tones(0.5))
    heard = Audio(with_length(whole, size, size)).samples(16_000)
    assert np.array_equal(heard, Audio(whole).samples(16_000))
    with pytest.raises(Unprocessable, match="damaged or ends early"):
        Audio(with_length(whole, size, size)[:44])


def streamed(flac: bytes) -> bytes:
    """As it is written to a pipe: the number of samples, 36 bits of STREAMINFO, is 0."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def test_a_flac_that_was_written_to_a_pipe_is_counted(monkeypatch):
    wave = tones(5.0)
    audio = Audio(streamed(sound(wave, kind="FLAC")))
    assert (audio.frames, audio.seconds) == (len(wave), 5.0)
    assert np.abs(audio.samples(16_000) - wave).max() < 1e-4
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    hour = streamed(sound(np.zeros(3600 * 8_000, np.int16), 8_000, "FLAC"))
    with pytest.raises(Unprocessable, match=r"takes \d\d? minutes; this function's memory allows"):
        Audio(hour)
