"""The first inference, before anybody asks: what it sets up is then there for the first request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import tasks
from .engines import Input
from .errors import BadRequest, Unprocessable
from .media.inputs import KINDS
from .records import Json

_TEXT = "A first text."
_LABELS = ["a", "b"]


def first_call(ask: Callable[..., Json], task: str) -> bool:
    """Ask a pipeline of `task` something harmless. Whether it could be asked.

    Raises what `ask` raises, but that the question does not suit the model: then it is only loaded.
    """
    for given, parameters in _questions(tasks.base_of(task)):
        try:
            ask(*given, **parameters)
        except (BadRequest, Unprocessable):
            continue
        return True
    return False


def _questions(base: str) -> Iterator[tuple[tuple[Input, ...], dict[str, Json]]]:
    """None for sound, and where an input has parts that only the script knows."""
    zero_shot = (_LABELS,) if base.startswith("zero-shot") else ()
    if KINDS.get(base) == "image":
        from PIL import Image

        parameters = {"max_new_tokens": 1} if base == "image-to-text" else {}
        yield (Image.new("RGB", (64, 64)), *zero_shot), parameters
    elif base in KINDS or base == "text-to-audio":
        return
    elif base == "fill-mask":
        for mask in ("[MASK]", "<mask>"):
            yield (f"{_TEXT} {mask}",), {}
    elif base == "question-answering":
        yield (), {"question": "What is it?", "context": _TEXT}
    elif base == "text-ranking":
        yield (_TEXT, [_TEXT]), {}
    elif base == "text-generation":
        yield (_TEXT,), {"max_new_tokens": 1}
    else:
        yield (_TEXT, *zero_shot), {}
