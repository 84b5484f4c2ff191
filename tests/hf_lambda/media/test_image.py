"""Pictures of requests: decoded as transformers does it, refused from their headers."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import PIL.Image
import pytest
from transformers.image_utils import load_image

from hf_lambda.errors import Unprocessable
from hf_lambda.media.image import Image
from hf_lambda.signature import Mismatch
from tests.media_support import base64_of, encoded, picture

TURNED = PIL.Image.Exif()
TURNED[0x0112] = 6  # the camera was held upright


def animated(kind):
    return encoded(picture(), kind, save_all=True, append_images=[picture(seed=1)])


def frames_16_bit():
    return PIL.Image.fromarray(np.linspace(0, 65535, 37 * 53).reshape(37, 53).astype(np.uint16))


FILES = {
    "JPEG": encoded(picture(), "JPEG"),
    "progressive JPEG": encoded(picture(), "JPEG", progressive=True),
    "JPEG turned by EXIF": encoded(picture(), "JPEG", exif=TURNED),
    "CMYK JPEG": encoded(picture().convert("CMYK"), "JPEG"),
    "grey JPEG": encoded(picture().convert("L"), "JPEG"),
    "PNG": encoded(picture()),
    "PNG turned by EXIF": encoded(picture(), exif=TURNED),
    "PNG with alpha": encoded(picture().convert("RGBA")),
    "PNG of a palette": encoded(picture().quantize(16)),
    "PNG of a palette, transparent": encoded(picture().quantize(16), transparency=3),
    "PNG of two colours": encoded(picture().convert("1")),
    "PNG, grey with alpha": encoded(picture().convert("LA")),
    "PNG of 16 bits": encoded(frames_16_bit()),
    "GIF": encoded(picture().quantize(32), "GIF"),
    "animated GIF": animated("GIF"),
    "WebP": encoded(picture(), "WEBP"),
    "animated WebP": animated("WEBP"),
    "TIFF": encoded(picture(), "TIFF"),
    "CMYK TIFF": encoded(picture().convert("CMYK"), "TIFF"),
    "TIFF of two pages": animated("TIFF"),
    "BMP": encoded(picture(), "BMP"),
    "AVIF": encoded(picture(), "AVIF"),
    "a phone's JPEG of several pictures": animated("MPO"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_decoded_as_transformers_decodes_it(name):
    ours = Image(FILES[name]).pillow()
    theirs = load_image(PIL.Image.open(io.BytesIO(FILES[name])))
    assert ours.mode == "RGB"
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_size_and_format_are_known_without_decoding():
    image = Image(FILES["JPEG turned by EXIF"])
    assert (image.format, image.width, image.height) == ("JPEG", 53, 37)
    assert image.pillow().size == (37, 53)


@pytest.mark.parametrize("text", ["{}", "data:image/png;base64,{}", "data:;base64,{}", " {}\n"])
def test_json_has_a_picture_in_base64_or_as_a_data_url(text):
    assert Image.from_json(text.format(base64_of(FILES["PNG"]))).data == FILES["PNG"]


def test_base64_may_be_url_safe_in_lines_or_without_its_padding():
    data = encoded(picture(seed=3))
    text = base64_of(data)
    assert Image.from_json(text.replace("+", "-").replace("/", "_")).data == data
    assert Image.from_json("\n".join(text[at : at + 76] for at in range(0, len(text), 76))).data == data
    assert Image.from_json(text.rstrip("=")).data == data


@pytest.mark.parametrize(
    "given",
    ["https://example.com/cat.jpg", "http://169.254.169.254/latest", "file:///etc/passwd", "s4://bucket/key"],
)
def test_a_url_is_refused_and_never_fetched(given):
    with pytest.raises(Mismatch) as refusal:
        Image.from_json(given)
    assert refusal.value.given == "a URL, and an endpoint fetches none"


@pytest.mark.parametrize(
    "given", ["../etc/passwd", "cat.jpg", "data:image/png,abc", "", 3, None, {"url": "x"}]
)
def test_paths_and_what_is_no_base64_are_refused(given):
    with pytest.raises(Mismatch) as refusal:
        Image.from_json(given)
    assert "base64" in refusal.value.expected


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC file"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG file"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a WAV file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "bytes of an unknown format"),
        (b"<html>", "a HTML or XML file"),
        (b"x", "1 bytes of an unknown format"),
    ],
)
def test_another_format_is_named_with_those_that_are_accepted(data, name):
    with pytest.raises(Unprocessable) as refusal:
        Image(data)
    assert name in refusal.value.message
    assert "JPEG, PNG, GIF, WebP, TIFF, BMP, AVIF" in refusal.value.message


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_ends_early_is_refused_with_its_format(name):
    data = FILES[name]
    for length in (len(data) // 2, 40):
        try:
            Image(data[:length]).pillow()
        except Unprocessable as refusal:
            assert "damaged or ends early" in refusal.message
        else:  # an animation whose first frame is there, or a file that only lacks what follows its pixels
            assert "animated" in name or name in ("TIFF of two pages", "a phone's JPEG of several pictures")


def bomb(width, height):
    """A PNG of one colour: 1 bit a pixel, packed a thousand times."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8_000, 9_000), (10_000, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_from_its_header(monkeypatch, size):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008")
    data = (
        bomb(*size)
        if size[0] < 20_000
        else bomb(8, 8).replace(struct.pack(">II", 8, 8), struct.pack(">II", *size))
    )
    tracemalloc.start()
    with pytest.raises(Unprocessable):
        Image(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_what_is_too_large_depends_on_the_functions_memory(monkeypatch):
    data = bomb(5_000, 4_000)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008")
    assert Image(data).width == 5_000
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    with pytest.raises(Unprocessable, match=r"5000 x 4000 pixels; .* allows 11\.2 million: scale it down"):
        Image(data)


@pytest.mark.parametrize("seed", range(3))
def test_a_file_with_other_bytes_in_it_is_decoded_or_refused_and_no_fault(seed):
    random = np.random.default_rng(seed)
    for name, data in FILES.items():
        for _ in range(60):
            broken = bytearray(data)
            for _ in range(random.integers(1, 6)):
                broken[random.integers(0, len(data) if random.random() < 0.5 else 300)] = random.integers(256)
            try:
                assert Image(bytes(broken)).pillow().mode == "RGB"
            except Unprocessable as refusal:
                assert "image" in refusal.message, name


def test_an_avif_file_may_say_first_that_it_holds_images_of_any_kind():
    data = FILES["AVIF"]
    for brand in (b"mif1", b"msf1"):
        general = data[:8] + brand + data[12:]
        assert Image(general).pillow().size == (53, 37)
        with pytest.raises(Unprocessable, match="a HEIC file"):
            Image(general[:16] + general[16:40].replace(b"avif", b"heic") + general[40:])
