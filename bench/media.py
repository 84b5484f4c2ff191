"""Pictures and sound for the comparison: the files that are sent, and models of full size.

Sizes are the defaults of transformers' configs, which are those of google/vit-base-patch16-224,
openai/clip-vit-base-patch32 and facebook/detr-resnet-50, and what openai/whisper-small's config.json says.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import (
        CLIPConfig,
        DetrConfig,
        PreTrainedModel,
        PreTrainedTokenizerFast,
        ViTConfig,
        WhisperConfig,
        WhisperTokenizer,
    )

PHRASES = ["a red disc", "a blue square", "two cats on a sofa", "a street at night", "a plate of food"]
SPEECH_TOKENS = 64
"""What Whisper writes of a sound, whoever serves it."""

_CLASSES = 1000
_OBJECTS = 91
_TEMPLATE = "this is a photo of ."
"""What the pipeline puts around a phrase, in small letters."""
_END = 50_257
"""Whisper's first token that is no word: it ends a text."""
_RATE, _SECONDS = 16_000, 30


@cache
def photograph() -> str:
    """base64 of a JPEG of 640 x 480: waves of three colours, and edges."""
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[:480, :640]
    waves = [np.sin(rows / (7 + 3 * colour)) * np.cos(columns / (11 + colour)) for colour in range(3)]
    pixels = 120 + 100 * np.stack(waves, -1) + 30 * ((rows // 60 + columns // 80) % 2)[..., None]
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return base64.b64encode(file.getvalue()).decode()


@cache
def half_a_minute() -> str:
    """base64 of a WAV file of 30 s: a tone that swells."""
    import wave

    import numpy as np

    places = np.arange(_RATE * _SECONDS)
    samples = 9000 * np.sin(places / 17) * np.sin(places / 3001)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(samples.astype("<i2").tobytes())
    return base64.b64encode(file.getvalue()).decode()


def vit() -> ViTConfig:
    from transformers import ViTConfig

    return ViTConfig(**_labels(_CLASSES))


def clip() -> CLIPConfig:
    from transformers import CLIPConfig

    return CLIPConfig()


def detr() -> DetrConfig:
    """With the backbone of transformers itself, of the same shape as timm's."""
    from transformers import DetrConfig, ResNetConfig

    return DetrConfig(backbone_config=ResNetConfig(out_features=["stage4"]), **_labels(_OBJECTS))


def whisper() -> WhisperConfig:
    from transformers import WhisperConfig

    return WhisperConfig(
        d_model=768,
        encoder_layers=12,
        decoder_layers=12,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=3_072,
        decoder_ffn_dim=3_072,
        bos_token_id=_END,
        eos_token_id=_END,
        pad_token_id=_END,
        decoder_start_token_id=_END + 1,
        begin_suppress_tokens=None,
    )


def _write_vit(target: Path) -> None:
    from transformers import ViTForImageClassification, ViTImageProcessorPil

    _seeded(lambda: ViTForImageClassification(vit())).save_pretrained(target)
    ViTImageProcessorPil().save_pretrained(target)


def _write_clip(target: Path) -> None:
    from transformers import CLIPImageProcessorPil, CLIPModel

    _seeded(lambda: CLIPModel(clip())).save_pretrained(target)
    CLIPImageProcessorPil().save_pretrained(target)
    _word_tokenizer(clip().text_config.vocab_size).save_pretrained(target)


def _write_detr(target: Path) -> None:
    from transformers import DetrForObjectDetection, DetrImageProcessorPil

    _seeded(lambda: DetrForObjectDetection(detr())).save_pretrained(target)
    DetrImageProcessorPil().save_pretrained(target)


def _write_whisper(target: Path) -> None:
    from transformers import GenerationConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    config = whisper()
    model = _seeded(lambda: WhisperForConditionalGeneration(config))
    tokenizer = _whisper_tokenizer()
    token_of = tokenizer.convert_tokens_to_ids
    # English for everybody, greedily, and as many tokens: what is no word is forbidden, the end too.
    model.generation_config = GenerationConfig(
        num_beams=1,
        max_new_tokens=SPEECH_TOKENS,
        bos_token_id=_END,
        eos_token_id=_END,
        pad_token_id=_END,
        decoder_start_token_id=_END + 1,
        suppress_tokens=[*range(_END, config.vocab_size)],
        is_multilingual=True,
        language="en",
        task="transcribe",
        lang_to_id={name: token_of(name) for name in _languages()},
        task_to_id={task: token_of(f"<|{task}|>") for task in ("translate", "transcribe")},
        no_timestamps_token_id=token_of("<|notimestamps|>"),
        return_timestamps=False,
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    WhisperFeatureExtractor().save_pretrained(target)


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "bench/vit-base": _write_vit,
    "bench/clip-base": _write_clip,
    "bench/detr-resnet-50": _write_detr,
    "bench/whisper-small": _write_whisper,
}
"""What writes a model to a folder, with its processor, by name."""


def _seeded(make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    import torch

    torch.manual_seed(0)
    return make()


def _labels(count: int) -> dict[str, dict[int, str] | dict[str, int]]:
    names = {number: f"class {number}" for number in range(count)}
    return {"id2label": names, "label2id": {name: number for number, name in names.items()}}


def _word_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A token for each word, as CLIP's vocabulary has one for these, between its start and its end."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    start, end = "<|startoftext|>", "<|endoftext|>"
    words = ["<unk>", *sorted({*" ".join([_TEMPLATE, *PHRASES]).split()})]
    words += [f"<unused{place}>" for place in range(vocabulary - len(words) - 2)] + [start, end]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, "<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, vocabulary - 2), (end, vocabulary - 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        unk_token="<unk>",
        model_max_length=77,
    )


def _whisper_tokenizer() -> WhisperTokenizer:
    """Whisper's special tokens and timestamps at their places, behind words that nobody says."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import WhisperTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"w{place}" for place in range(_END - len(letters)))]
    others = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    special = ["<|endoftext|>", "<|startoftranscript|>", *_languages(), *(f"<|{name}|>" for name in others)]
    tokenizer = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    tokenizer.add_tokens([AddedToken(f"<|{step / 50:.2f}|>", special=False) for step in range(1501)])
    names = dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), special[0])
    return WhisperTokenizer(tokenizer_object=tokenizer, additional_special_tokens=special[1:], **names)


def _languages() -> list[str]:
    """Tokens of the 99 languages that the small model knows: the last one of the list came with large-v3."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return [f"<|{code}|>" for code in [*LANGUAGES][:99]]
