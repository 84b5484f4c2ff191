"""Files inside JSON: base64 text, plain or as a data URL; never a URL or a path that would be fetched."""

from __future__ import annotations

import binascii

WANTED = "a file in base64, or a data URL"


def decoded(text: str) -> bytes:
    """The bytes that `text` stands for. Raises ValueError that says in a few words what `text` is instead."""
    if text.startswith("data:"):
        header, comma, text = text.partition(",")
        if not comma or not header.endswith(";base64"):
            raise ValueError("a data URL without base64")
    elif "://" in text[:32]:
        raise ValueError("a URL, and an endpoint fetches none")
    # The URL-safe alphabet and line breaks are what clients produce beside plain base64.
    plain = "".join(text.split()).translate(_PLAIN)
    try:
        data = binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("text that is not base64") from None
    if not data:
        raise ValueError("an empty file")
    return data


_PLAIN = str.maketrans("-_", "+/")
