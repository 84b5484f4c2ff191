"""Translates a text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
translate = pipeline(
    "translation",
    model="facebook/nllb-200-distilled-600M",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {"text": "How are you?", "src_lang": "eng_Latn", "tgt_lang": "fra_Latn"}


@endpoint
def handler(
    text: str | list[str],
    src_lang: str,
    tgt_lang: str,
    max_length: int | None = None,
    truncation: bool = False,
) -> object:
    return translate(text, src_lang=src_lang, tgt_lang=tgt_lang, max_length=max_length, truncation=truncation)
