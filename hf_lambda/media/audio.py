"""`Audio`: sound of a request, as one channel at the rate that a model listens at."""

from __future__ import annotations

import io
from typing import Any

from ..errors import Unprocessable
from ..signature import Mismatch, json_type
from .encoded import WANTED, decoded
from .formats import called, format_of
from .limits import decoding_bytes

ACCEPTED = ("WAV", "FLAC", "MP3", "OGG", "AIFF")
BYTES_PER_SAMPLE = 4
RATES = (1_000, 384_000)
"""Hertz; outside of them a header is damaged."""
MODEL_RATE = 16_000
"""What models listen at; features and a few copies of the signal at that rate count beside the file's own."""
_COPIES = 8


class Audio:
    """Sound as it came. `rate`, `channels` and `seconds` are its header's.

    Making one reads the header alone. Raises Unprocessable for what libsndfile does not read here, and for
    more than fits into the function's memory.
    """

    json_name = f"sound ({WANTED})"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.format = format_of(data) or ""
        if self.format not in ACCEPTED:
            raise Unprocessable(None, f"expected sound ({', '.join(ACCEPTED)}), given {called(data)}")
        with self._open() as file:
            self.rate, self.channels, self.frames = file.samplerate, file.channels, file.frames
        if not RATES[0] <= self.rate <= RATES[1] or self.frames <= 0:
            raise self._damaged()
        self._check_size()

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)

    @classmethod
    def from_json(cls, value: Any) -> Audio:
        """Of base64 text or a data URL; an Audio stays as it is. Raises Mismatch and Unprocessable."""
        if isinstance(value, cls):
            return value
        if isinstance(value, bytes):
            return cls(value)
        if not isinstance(value, str):
            raise Mismatch("", cls.json_name, json_type(value))
        try:
            return cls(decoded(value))
        except ValueError as problem:
            raise Mismatch("", cls.json_name, str(problem)) from None

    def samples(self, rate: int) -> Any:
        """(n,) float32 at `rate` Hz, the channels mixed as ffmpeg does it. Decoded anew at each call.

        Raises Unprocessable where the file ends early or is damaged.
        """
        import soundfile

        from .resampling import resampled

        try:
            with self._open() as file:
                wave = file.read(frames=self.frames, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as problem:
            raise self._damaged() from problem
        if not len(wave):
            raise self._damaged()
        return resampled(_mixed(wave), self.rate, rate)

    def _open(self) -> Any:
        import soundfile

        try:
            return soundfile.SoundFile(io.BytesIO(self.data))
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as problem:
            raise self._damaged() from problem

    def _check_size(self) -> None:
        needed = self.frames * self.channels * BYTES_PER_SAMPLE
        needed += int(self.seconds * MODEL_RATE) * BYTES_PER_SAMPLE * _COPIES
        most = decoding_bytes()
        if needed > most:
            allowed = self.seconds * most / needed / 60
            raise Unprocessable(
                None,
                f"the sound takes {self.seconds / 60:.0f} minutes; this function's memory allows "
                f"{allowed:.0f} of this kind: send it in parts",
            )

    def _damaged(self) -> Unprocessable:
        return Unprocessable(
            None, f"the {self.format} sound is damaged or ends early ({len(self.data)} bytes)"
        )


def _mixed(wave: Any) -> Any:
    """(n, channels) -> (n,). Two channels as ffmpeg mixes them; of more the mean."""
    channels = wave.shape[1]
    if channels == 1:
        return wave[:, 0]
    if channels == 2:
        return (wave[:, 0] + wave[:, 1]) * wave.dtype.type(0.5**0.5)
    return wave.mean(axis=1)
