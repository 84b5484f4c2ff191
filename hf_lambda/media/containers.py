"""Sound that libsndfile does not read: what phones and browsers record, by the optional package `av`."""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from .formats import DEMUXERS

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Codec(Protocol):
    sample_rate: int
    channels: int


class _Stream(Protocol):
    codec_context: _Codec


class _Packet(Protocol):
    duration: int | None
    time_base: Fraction | None


class _Container(Protocol):
    """As much of av's as is used: its types are there where it is installed alone."""

    def demux(self, stream: _Stream) -> Iterator[_Packet]: ...

    def decode(self, stream: _Stream) -> Iterator[object]: ...


class NotSound(Exception):  # noqa: N818 - `Audio` turns it into its own
    """Damaged, or without sound in it."""


def has_av() -> bool:
    return importlib.util.find_spec("av") is not None


def read_header(data: bytes, name: str) -> tuple[int, int, int]:
    """Rate, channels and samples of each, counted over the packets: a recorder that streams writes no length.

    Raises NotSound.
    """
    with _opened(data, name) as (container, stream):
        seconds = 0.0
        for packet in container.demux(stream):
            if packet.duration and packet.time_base:
                seconds += float(packet.duration * packet.time_base)
        codec = stream.codec_context
        if not codec.sample_rate or not codec.channels:
            raise NotSound
        return codec.sample_rate, codec.channels, round(seconds * codec.sample_rate)


def read_samples(data: bytes, name: str, *, rate: int, channels: int, frames: int) -> NDArray[Any]:
    """(n, channels) float32, n at most `frames`. Raises NotSound where it is not as its header said."""
    import numpy as np

    av: Any = importlib.import_module("av")
    pieces, left = [], frames
    with _opened(data, name) as (container, stream):
        plain = av.AudioResampler(format="fltp")
        for frame in container.decode(stream):
            for part in plain.resample(frame):
                piece = part.to_ndarray().T[:left]
                if piece.shape[1] != channels or part.sample_rate != rate:
                    raise NotSound
                pieces.append(piece)
                left -= len(piece)
            if left <= 0:
                break
    if not pieces:
        raise NotSound
    wave: NDArray[Any] = np.ascontiguousarray(np.concatenate(pieces), np.float32)
    return wave


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[tuple[_Container, _Stream]]:
    av: Any = importlib.import_module("av")
    try:
        with av.open(io.BytesIO(data), format=DEMUXERS[name], metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise NotSound
            yield container, container.streams.audio[0]
    except (av.error.FFmpegError, ValueError, EOFError) as problem:
        raise NotSound from problem
