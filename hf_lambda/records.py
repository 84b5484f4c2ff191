"""Frozen dataclasses whose fields are those of a JSON object; for the files that a cold start reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self


class FlatRecord:
    """Base of dataclasses whose fields hold plain JSON values. Reads without type hints: those cost time."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Keys that a newer writer added are left out. Raises TypeError where one is missing."""
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in document.items() if name in names})

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
