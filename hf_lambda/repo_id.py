"""What may be the id of a repository on the Hub."""

from __future__ import annotations

import re
from typing import TypeGuard


def is_repo_id(text: object) -> TypeGuard[str]:
    """Whether `text` is `name` or `namespace/name`: huggingface_hub decides where it is installed."""
    if not isinstance(text, str):
        return False
    try:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils._validators import validate_repo_id
    except ImportError:
        return _looks_like_a_repo_id(text)
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


def _looks_like_a_repo_id(text: str) -> bool:
    """The same rule without huggingface_hub; a test holds the two to each other."""
    namespace, slash, name = text.rpartition("/")
    parts = (namespace, name) if slash else (name,)
    if "--" in text or ".." in text or text.endswith(".git"):
        return False
    return all(_PART.fullmatch(part) for part in parts)


_PART = re.compile(r"(?=[\w.-]{1,96}\Z)\w([\w.-]*\w)?", re.ASCII)
