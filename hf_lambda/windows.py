"""Long texts of token-classification are read in windows that overlap, by both engines alike."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import BadRequest
from .limits import check_overlap
from .records import Json

_OVERLAP = 4
"""Of the window's tokens one in so many is read twice, where the request does not say: enough for the
context of an entity at the edge."""


def overlap(parameters: Mapping[str, Json], window: int | None) -> int:
    """Tokens that two windows share: the request's `stride`, else a quarter of the `window`.

    window: tokens of the text itself that the model reads at once; None: any number.
    Raises BadRequest for a stride that leaves a window nothing new, Unprocessable for one that leaves little.
    """
    stride = parameters.get("stride")
    if stride is None:
        return 0 if window is None else window // _OVERLAP
    if window is not None and stride >= window:
        raise BadRequest("stride", f"less than {window}, what the model reads at once", str(stride))
    if window is not None:
        check_overlap("stride", int(stride), window, window)
    return int(stride)
