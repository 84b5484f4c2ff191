"""The files of a batch: JSON lines in, JSON lines out, of which the second is all that a run remembers."""

from __future__ import annotations

import codecs
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from hf_lambda.events import MAX_REQUEST_BYTES

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.records import OMIT_DEFAULT, Json, Record, WrongShape

_CHUNK = 1 << 20
_LONGEST_LINE = MAX_REQUEST_BYTES


@dataclass(frozen=True)
class Failed(Record):
    """Why a line has no answer. `status`: of the endpoint that answered it so."""

    message: str
    status: Annotated[int | None, OMIT_DEFAULT] = None


@dataclass(frozen=True)
class Answer:
    """What an endpoint said, without status and headers around it."""

    body: Json


@dataclass(frozen=True)
class OutputLine(Record):
    """What became of one line of the input.

    line: its number, from 1. input: the beginning of its SHA-256, by which a changed input is noticed.
    """

    line: int
    input: str
    answer: Json = None
    error: Annotated[Failed | None, OMIT_DEFAULT] = None

    @classmethod
    def of(cls, line: InputLine, answer: Answer | Failed) -> OutputLine:
        if isinstance(answer, Failed):
            return cls(line.number, line.digest, error=answer)
        return cls(line.number, line.digest, answer.body)

    def to_bytes(self) -> bytes:
        document = self.to_json()
        if self.error:
            del document["answer"]
        try:
            return json.dumps(document, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # half a character, which only an escape can say
            return json.dumps(document).encode() + b"\n"


@dataclass(frozen=True)
class InputLine:
    """One line as it was given, without its end; `event` is None where it is longer than a request may be."""

    number: int
    digest: str
    event: bytes | None


def count_lines(path: Path) -> int:
    """Of a file whose last line may lack its end."""
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count + (last != b"\n")


def input_lines(file: BinaryIO) -> Iterator[InputLine]:
    """Line by line; of one that is too long no more than a request is held."""
    number = 0
    while part := file.readline(_LONGEST_LINE + len(b"\r\n")):
        number += 1
        event: bytes | None = part.rstrip(b"\r\n")
        digest = hashlib.sha256(part.removesuffix(b"\n"))
        while not part.endswith(b"\n") and (part := file.readline(_CHUNK)):
            digest.update(part.removesuffix(b"\n"))
            event = None
        if event is not None and number == 1:
            event = event.removeprefix(codecs.BOM_UTF8)
        yield InputLine(number, digest.hexdigest()[:12], event)


class Output:
    """The output file, of this process alone. `done`: lines that it holds.

    A last line without its end, as a stop in the midst of a write leaves it, is cut off.
    """

    def __init__(self, file: BinaryIO, path: Path, done: int) -> None:
        self._file, self._path, self.done = file, path, done

    def write(self, line: bytes) -> None:
        """The next one; it is with the operating system once this returns."""
        self._file.write(line)
        self._file.flush()
        self.done += 1

    def check(self, given: Iterator[InputLine]) -> None:
        """Takes from `given` as many lines as are done. Raises WarmupError where they are others."""
        self._file.seek(0)
        for number in range(1, self.done + 1):
            try:
                written = OutputLine.from_json(json.loads(self._file.readline()))
            except (ValueError, WrongShape):
                written = None
            if written is None or written.line != number:
                raise WarmupError(
                    ErrorKind.USAGE,
                    f"{self._path}, line {number}, was not written by this command. Name another output, "
                    "or remove the file to begin anew",
                )
            line = next(given, None)
            if line is None or line.digest != written.input:
                has = "ends before" if line is None else "has another"
                raise WarmupError(
                    ErrorKind.USAGE,
                    f"the input {has} line {number} than when {self._path} was begun. Give the same input, "
                    "or another output",
                )
        self._file.seek(0, os.SEEK_END)


@contextmanager
def open_output(path: Path) -> Iterator[Output]:
    """The output as an earlier run left it. Raises WarmupError where it cannot be written, or is in use."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WarmupError(ErrorKind.USAGE, f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "r+b") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise WarmupError(ErrorKind.USAGE, f"{path} is no file; the output is read again after a stop")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = f"another run writes to {path}; wait for it, or name another output"
            raise WarmupError(ErrorKind.USAGE, message) from None
        done, end = _whole_lines(file)
        file.truncate(end)
        file.seek(end)
        try:
            yield Output(file, path, done)
        finally:
            os.fsync(descriptor)  # a stop of the machine may cost the last seconds, not what a run reported


def _whole_lines(file: BinaryIO) -> tuple[int, int]:
    """How many lines have their end, and where the last of them ends."""
    count, end, place = 0, 0, 0
    while chunk := file.read(_CHUNK):
        count += chunk.count(b"\n")
        if (last := chunk.rfind(b"\n")) >= 0:
            end = place + last + 1
        place += len(chunk)
    return count, end
