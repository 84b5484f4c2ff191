"""`Audio`: sound of a request, as one channel at the rate that a model listens at."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ..errors import Unprocessable
from .encoded import WANTED
from .file import MediaFile
from .formats import DEMUXERS, called, format_of
from .limits import decoding_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from soundfile import SoundFile

ACCEPTED = ("WAV", "FLAC", "MP3", "OGG", "AIFF")
BYTES_PER_SAMPLE = 4
RATES = (1_000, 384_000)
"""Hertz; outside of them a header is damaged."""
MODEL_RATE = 16_000
"""What models listen at; features and a few copies of the signal at that rate count beside the file's own."""
_COPIES = 8
_NOT_SAID = 2**63 - 1
"""libsndfile's number of frames where a header has none (SF_COUNT_MAX): a FLAC that was written to a pipe."""
_BLOCK = 1 << 16
_WITH_AV = (
    "an endpoint reads these too with `av` in inference/requirements.txt and the full image (config image: "
    "full)"
)


class Audio(MediaFile):
    """Sound as it came. `rate`, `channels` and `seconds` are its header's.

    Making one reads the header alone. Raises Unprocessable for what neither libsndfile reads here nor FFmpeg,
    where `av` is installed, and for more than fits into the function's memory.
    """

    noun = "sound"
    json_name = f"sound ({WANTED})"
    media_type = "audio/*"
    accepted = ACCEPTED

    def __init__(self, data: bytes) -> None:
        if (name := format_of(data)) in DEMUXERS:
            self.data, self.format = data, str(name)
            self.rate, self.channels, self.frames = self._read_header()
        else:
            super().__init__(data)
            with self._open() as file:
                self.rate, self.channels, self.frames = file.samplerate, file.channels, file.frames
                if self.frames == _NOT_SAID:
                    self.frames = self._counted(file)
        if not RATES[0] <= self.rate <= RATES[1] or self.frames <= 0:
            raise self.damaged()
        self._check_size()

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)

    def samples(self, rate: int) -> NDArray[Any]:
        """(n,) float32 at `rate` Hz, the channels mixed as ffmpeg does it. Decoded anew at each call.

        Raises Unprocessable where the file ends early or is damaged.
        """
        from .resampling import resampled

        wave = self._read()
        if not len(wave):
            raise self.damaged()
        return resampled(_mixed(wave), self.rate, rate)

    def _read_header(self) -> tuple[int, int, int]:
        from .containers import NotSound, has_av, read_header  # few sounds come so

        if not has_av():
            raise Unprocessable(None, f"{self.expected()}, given {called(self.data)}; {_WITH_AV}")
        try:
            return read_header(self.data, self.format)
        except NotSound as problem:
            raise self.damaged() from problem

    def _read(self) -> NDArray[Any]:
        """(frames, channels) float32. Raises Unprocessable."""
        if self.format in DEMUXERS:
            from .containers import NotSound, read_samples

            shape = {"rate": self.rate, "channels": self.channels, "frames": self.frames}
            try:
                return read_samples(self.data, self.format, **shape)
            except NotSound as problem:
                raise self.damaged() from problem
        import soundfile

        try:
            with self._open() as file:
                wave: NDArray[Any] = file.read(frames=self.frames, dtype="float32", always_2d=True)
                return wave
        except (soundfile.LibsndfileError, RuntimeError) as problem:
            raise self.damaged() from problem

    def _open(self) -> SoundFile:
        import soundfile

        try:
            file = soundfile.SoundFile(io.BytesIO(_with_length(self.data)))
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as problem:
            raise self.damaged() from problem
        # After each read soundfile seeks to where it is, which libFLAC cannot at an end that no header says.
        file.seekable = lambda: False
        return file

    def _counted(self, file: SoundFile) -> int:
        """Frames, heard block by block and none of them kept; no more than are too many."""
        import soundfile

        count = 0
        try:
            while self._needed(count) <= decoding_bytes():
                heard = len(file.read(frames=_BLOCK, dtype="float32", always_2d=True))
                count += heard
                if heard < _BLOCK:
                    break
        except (soundfile.LibsndfileError, RuntimeError) as problem:
            raise self.damaged() from problem
        return count

    def _needed(self, frames: int) -> int:
        """Bytes that so many take."""
        own = frames * self.channels * BYTES_PER_SAMPLE
        return own + frames * MODEL_RATE // self.rate * BYTES_PER_SAMPLE * _COPIES

    def _check_size(self) -> None:
        needed, most = self._needed(self.frames), decoding_bytes()
        if needed > most:
            allowed = self.seconds * most / needed / 60
            raise Unprocessable(
                None,
                f"the sound takes {self.seconds / 60:.0f} minutes; this function's memory allows "
                f"{allowed:.0f} of this kind: send it in parts",
            )


def _with_length(data: bytes) -> bytes:
    """`data`, where it is a WAV whose sound has no length, with the length of all that follows.

    A recorder that cannot go back to its header leaves 0 there, of which libsndfile reads nothing; where it
    says 2^32 - 1 or 2^31 - 1 instead, libsndfile reads to the end.
    """
    at = 12
    while data[:4] == b"RIFF" and at + 8 < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data":
            rest = len(data) - at - 8
            return data if size else data[: at + 4] + rest.to_bytes(4, "little") + data[at + 8 :]
        at += 8 + size + size % 2
    return data


def _mixed(wave: NDArray[Any]) -> NDArray[Any]:
    """(n, channels) -> (n,). Two channels as ffmpeg mixes them; of more the mean."""
    channels = wave.shape[1]
    if channels == 1:
        return wave[:, 0]
    if channels == 2:
        both: NDArray[Any] = (wave[:, 0] + wave[:, 1]) * wave.dtype.type(0.5**0.5)
        return both
    mean: NDArray[Any] = wave.mean(axis=1)
    return mean
