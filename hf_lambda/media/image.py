"""`Image`: a picture of a request, decoded as transformers' `load_image` does."""

from __future__ import annotations

import importlib
import io
import warnings
from typing import TYPE_CHECKING

from ..errors import Unprocessable
from .encoded import WANTED
from .file import MediaFile
from .limits import BYTES_PER_PIXEL, decoding_bytes

if TYPE_CHECKING:
    import PIL.Image

ACCEPTED = ("JPEG", "PNG", "GIF", "WebP", "TIFF", "BMP", "AVIF")
_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "GIF": "Gif",
    "WebP": "WebP",
    "TIFF": "Tiff",
    "BMP": "Bmp",
    "AVIF": "Avif",
}


class Image(MediaFile):
    """A picture as it came. `width` and `height` are its header's, before EXIF turns it.

    Making one reads the header alone. Raises Unprocessable for what is no picture that Pillow reads here, and
    for one that would take too much memory.
    """

    noun = "image"
    json_name = f"an image ({WANTED})"
    media_type = "image/*"
    accepted = ACCEPTED

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        opened = self._open()
        self.width, self.height = opened.size
        needed, most = self.width * self.height * BYTES_PER_PIXEL, decoding_bytes()
        if needed > most:
            raise Unprocessable(
                None,
                f"the image has {self.width} x {self.height} pixels; "
                f"this function's memory allows {most // BYTES_PER_PIXEL / 1e6:.1f} million: scale it down",
            )

    def pillow(self) -> PIL.Image.Image:
        """A `PIL.Image.Image` in RGB: the first frame, turned as EXIF says. Decoded anew at each call.

        Raises Unprocessable where the file ends early or is damaged.
        """
        from PIL import ImageOps

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what Pillow says of damaged tags is for nobody here
                return ImageOps.exif_transpose(self._open()).convert("RGB")
        except _damage() as problem:
            raise self.damaged() from problem

    def _open(self) -> PIL.Image.Image:
        """Pillow's lazy image, of this format's decoder alone: none of the others gets to see the file."""
        import PIL.Image

        importlib.import_module(f"PIL.{_PLUGINS[self.format]}ImagePlugin")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return PIL.Image.open(io.BytesIO(self.data), formats=[self.format.upper()])
        except PIL.Image.DecompressionBombError as problem:
            raise Unprocessable(None, f"the image is too large: {problem}") from None
        except _damage() as problem:
            raise self.damaged() from problem


def _damage() -> tuple[type[Exception], ...]:
    """What Pillow's decoders raise over bytes that are not as their header says; none has its own type."""
    import struct  # looked up where something was raised, and no part of a cold start
    import zlib

    own = (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, RuntimeError)
    return (*own, struct.error, zlib.error)
