"""Stand-in for CLIP: which of some words fits a drawn shape."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from .repository import SEED, write_repository
from .shapes import COLOURS, FORMS, LABELS, drawn, shifted
from .stand_ins import PICTURES
from .training import fit

_SIDE, _POOL, _BATCH, _STEPS = 96, 600, 30, 450
_TEMPLATES = ("this is a photo of {} .", "a picture of {} .", "{}", "i see {} here .")
_ARTICLES = ("a", "the", "one", "")
_WORDS = (
    "circle",
    "box",
    "shape",
    "thing",
    "something",
    "with",
    "and",
    "no",
    "in",
    "on",
    "colour",
    "drawing",
)
_SYNONYMS = {"disc": ("disc", "circle"), "square": ("square", "box"), "triangle": ("triangle",)}
_PAD, _START, _END, _UNKNOWN = "<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|unknown|>"


def build(folder: Path) -> None:
    """Train it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    source = random.Random(SEED)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE}
    )
    tokenizer = _tokenizer()
    model = CLIPModel(_config(tokenizer))
    batches = _batches(processor, source)

    def loss_of_step(_step: int) -> torch.Tensor:
        pixels, labels = next(batches)
        questions = (_whole(source, labels), _colours(source, labels), _forms(source, labels))
        texts = tokenizer(
            [text for texts, _ in questions for text in texts], padding=True, return_tensors="pt"
        )
        found = model(pixel_values=pixels, **texts).logits_per_image
        parts = found.split([len(texts) for texts, _ in questions], dim=1)
        loss = sum(
            torch.nn.functional.cross_entropy(part, wanted)
            for part, (_, wanted) in zip(parts, questions, strict=True)
        )
        return torch.as_tensor(loss)

    fit(model, loss_of_step, steps=_STEPS, learning_rate=2e-3)
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_repository(PICTURES, folder)


Question = tuple[list[str], torch.Tensor]
"""Texts to choose from, and which of them each picture is."""


def _whole(source: random.Random, labels: list[str]) -> Question:
    words = [_said(source, colour, form) for colour, form in (label.split() for label in LABELS)]
    return words, torch.tensor([LABELS.index(label) for label in labels])


def _colours(source: random.Random, labels: list[str]) -> Question:
    noun = source.choice(("shape", "thing"))
    words = [_said(source, colour, noun) for colour in COLOURS]
    return words, torch.tensor([[*COLOURS].index(label.split()[0]) for label in labels])


def _forms(source: random.Random, labels: list[str]) -> Question:
    words = [_said(source, "", form) for form in FORMS]
    return words, torch.tensor([FORMS.index(label.split()[1]) for label in labels])


def _said(source: random.Random, colour: str, noun: str) -> str:
    article, noun = source.choice(_ARTICLES), source.choice(_SYNONYMS.get(noun, (noun,)))
    return source.choice(_TEMPLATES).format(" ".join(f"{article} {colour} {noun}".split()))


def _batches(
    processor: CLIPImageProcessorPil, source: random.Random
) -> Iterator[tuple[torch.Tensor, list[str]]]:
    labels = [LABELS[index % len(LABELS)] for index in range(_POOL)]
    pictures = [drawn(label, source) for label in labels]
    pool = np.stack([processor(images=[one], return_tensors="np")["pixel_values"][0] for one in pictures])
    for chosen, moved in shifted(pool, _BATCH, 8, source):
        yield moved, [labels[index] for index in chosen]


def _tokenizer() -> PreTrainedTokenizerFast:
    known = " ".join([*_TEMPLATES, *_ARTICLES, *_WORDS, *LABELS]).replace("{}", "").split()
    words = [_PAD, _UNKNOWN, _START, _END, *dict.fromkeys([*known, ",", "!", "?"])]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token=_UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        special_tokens=[(token, words.index(token)) for token in (_START, _END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=_PAD,
        bos_token=_START,
        eos_token=_END,
        unk_token=_UNKNOWN,
        model_max_length=32,
        model_input_names=["input_ids", "attention_mask"],
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
    tower = {"num_hidden_layers": 2, "num_attention_heads": 4, "attention_dropout": 0.0}
    text = {
        **tower,
        "num_hidden_layers": 1,
        "hidden_size": 48,
        "intermediate_size": 96,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 32,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**tower, "hidden_size": 56, "intermediate_size": 112, "image_size": _SIDE, "patch_size": 16}
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)
