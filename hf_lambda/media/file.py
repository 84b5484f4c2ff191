"""What pictures and sound have in common: a file of a request whose format is known."""

from __future__ import annotations

from typing import ClassVar, Self

from ..errors import Unprocessable
from ..signature import Mismatch, json_type
from .encoded import decoded
from .formats import called, format_of


class MediaFile:
    """A file of a request, as it came: its format is known, nothing is decoded."""

    noun: ClassVar[str]
    json_name: ClassVar[str]
    media_type: ClassVar[str]
    """As schemas say it."""
    accepted: ClassVar[tuple[str, ...]]
    """Formats that are read."""

    def __init__(self, data: bytes) -> None:
        """Raises Unprocessable for every other format."""
        self.data = data
        self.format = format_of(data) or ""
        if self.format not in self.accepted:
            raise Unprocessable(None, f"{self.expected()}, given {called(data)}")

    @classmethod
    def expected(cls) -> str:
        return f"expected {cls.json_name.partition(' (')[0]} ({', '.join(cls.accepted)})"

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Of base64 text or a data URL; one of these stays as it is. Raises Mismatch, Unprocessable."""
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

    def damaged(self) -> Unprocessable:
        size = len(self.data)
        return Unprocessable(None, f"the {self.format} {self.noun} is damaged or ends early ({size} bytes)")
