"""Calls that nobody wrote: inputs and options drawn by a seed, for every task of text, pictures and sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.media_support import encoded, picture, sound, tones
from tests.tiny_encoders import TEXTS

LONG = " ".join(TEXTS)
ODD = ["ok", " ", "Zoë 😀 unseen-words\tand   spaces", "今日は良い天気です。", "a\nb", "'", "7:45" * 9, "É́ é"]
LABELS = ["travel", "science", "a very, very long label", "Zoë", "2"]


@dataclass(frozen=True)
class Call:
    """What a pipeline is called with."""

    inputs: Any
    parameters: dict[str, Any]


def calls(task: str, mask: str | None, seed: int, count: int) -> Iterator[Call]:
    """`count` calls of `task`. mask: the model's, where it has one."""
    random = Random(f"{task} {seed}")
    draw = _DRAW[task]
    for _ in range(count):
        yield draw(random, mask or "")


def _text(random: Random) -> str:
    kind = random.random()
    if kind < 0.15:
        return LONG[: random.randrange(200, len(LONG))]
    if kind < 0.45:
        return random.choice(ODD)
    text = random.choice(TEXTS)
    return text[: random.randrange(1, len(text))] if kind < 0.7 else text


def _texts(random: Random, one: Callable[[Random], Any] = _text) -> Any:
    """One input, or a list of some."""
    return one(random) if random.random() < 0.5 else [one(random) for _ in range(random.randrange(1, 5))]


def _some(random: Random, **options: list[Any]) -> dict[str, Any]:
    """About half of `options`, each with one of its values."""
    return {name: random.choice(values) for name, values in options.items() if random.random() < 0.5}


def _batching(random: Random) -> dict[str, Any]:
    return _some(random, batch_size=[1, 2, 7], num_workers=[0]) if random.random() < 0.2 else {}


def _truncation(random: Random) -> dict[str, Any]:
    if random.random() < 0.5:
        return {}
    cut = {"truncation": random.choice([True, False, "longest_first", "only_first", "do_not_truncate"])}
    can_cut = cut["truncation"] not in (False, "do_not_truncate")
    return {**cut, **(_some(random, max_length=[3, 5, 17, 64]) if can_cut else {})}


def _text_classification(random: Random, mask: str) -> Call:
    def one(random: Random) -> Any:
        if random.random() < 0.7:
            return _text(random)
        pair = {"text": _text(random)}
        return pair if random.random() < 0.2 else {**pair, "text_pair": _text(random)}

    options = _some(random, top_k=[None, 1, 2, 3, 100], function_to_apply=["sigmoid", "softmax", "none"])
    more = _some(random, padding=[True, False]) if random.random() < 0.2 else {}
    return Call(_texts(random, one), {**options, **more, **_truncation(random), **_batching(random)})


def _token_classification(random: Random, mask: str) -> Call:
    options = _some(
        random,
        aggregation_strategy=["none", "simple", "first", "average", "max"],
        ignore_labels=[[], ["O"], ["B-PER", "O"], ["PER"]],
    )
    if random.random() < 0.25:
        words = _texts(random, lambda random: _text(random).split() or ["a"])
        split = {"is_split_into_words": True, **_some(random, delimiter=[" ", "", "--"])}
        return Call(words, {**options, **split, **_batching(random)})
    if random.random() < 0.25:
        options["aggregation_strategy"] = random.choice(["simple", "first", "average", "max"])
        options["stride"] = random.choice([0, 3, 10, 30])
    return Call(_texts(random), {**options, **_batching(random)})


def _fill_mask(random: Random, mask: str) -> Call:
    def one(random: Random) -> str:
        words = _text(random)[:120].split() or [""]
        for _ in range(random.choice([1, 1, 1, 2])):
            words.insert(random.randrange(len(words) + 1), mask)
        return " ".join(words)

    options = _some(random, top_k=[1, 2, 7], targets=["the", ["the", "was"], ["Paris", "zzzz", "the"]])
    if random.random() < 0.3:
        options["tokenizer_kwargs"] = {"truncation": True}
    return Call(_texts(random, one), {**options, **_batching(random)})


def _feature_extraction(random: Random, mask: str) -> Call:
    options = _some(random, truncation=[True, False], return_tensors=[False])
    if random.random() < 0.3:
        options = {"tokenize_kwargs": {"truncation": True, **_some(random, max_length=[3, 9, 64])}}
    return Call(_texts(random), {**options, **_batching(random)})


def _zero_shot(random: Random, mask: str) -> Call:
    labels: Any = random.sample(LABELS, random.randrange(1, len(LABELS)))
    labels = labels if random.random() < 0.7 else ",".join(labels)
    # Not "a {{}} b", which never takes the label: transformers answers with equal scores, here it is a 400.
    templates = ["This text is about {}.", "{}", "{0} or not {0}?", "no place"]
    options = _some(random, hypothesis_template=templates, multi_label=[True, False])
    one = _text if random.random() < 0.9 else (lambda random: "")
    return Call(_texts(random, one), {"candidate_labels": labels, **options, **_batching(random)})


def _picture(random: Random) -> bytes:
    """A file of a picture, of odd sizes and in every way that pixels are kept."""
    drawn = picture(random.randrange(9, 90), random.randrange(9, 90), random.randrange(1000))
    kind = random.choice(["PNG", "JPEG", "BMP"])
    mode = random.choice(["RGB", "RGB", "L", *(["RGBA", "P", "LA"] if kind == "PNG" else [])])
    return encoded(drawn.convert(mode), kind)


def _sound(random: Random) -> bytes:
    wave = tones(random.choice([0.3, 0.6, 1.1]), seed=random.randrange(1000))
    return sound(wave, kind=random.choice(["WAV", "FLAC"]))


def _labels(random: Random) -> dict[str, Any]:
    labels = random.sample(
        ["a cat", "two dogs", "Zoë", "a very, very long red bus", "7"], random.randrange(1, 5)
    )
    # Not a template that never takes the label: transformers answers with equal scores, here it is a 400.
    return {
        "candidate_labels": labels,
        **_some(random, hypothesis_template=["This is a photo of {}.", "{}", "a {} or not a {}"]),
    }


def _scored(one: Callable[[Random], bytes]) -> Callable[[Random, str], Call]:
    def draw(random: Random, mask: str) -> Call:
        options = _some(random, top_k=[1, 2, 3, 100], function_to_apply=["sigmoid", "softmax", "none"])
        return Call(_texts(random, one), options)

    return draw


def _labelled(one: Callable[[Random], bytes]) -> Callable[[Random, str], Call]:
    return lambda random, mask: Call(_texts(random, one), _labels(random))


def _object_detection(random: Random, mask: str) -> Call:
    return Call(_texts(random, _picture), _some(random, threshold=[0.0, 0.1, 0.3, 0.99]))


def _segmentation(random: Random, mask: str) -> Call:
    return Call(_texts(random, _picture), _some(random, subtask=["semantic"], threshold=[0.5]))


def _speech(random: Random, mask: str) -> Call:
    return Call(_texts(random, _sound), _some(random, return_timestamps=["char", "word"]))


def _pictures_alone(random: Random, mask: str) -> Call:
    return Call(_texts(random, _picture), {})


def _text_generation(random: Random, mask: str) -> Call:
    """Greedy: what is drawn by chance has no second answer to compare with."""
    limit = random.choice([{"max_new_tokens": random.randrange(1, 12)}, {"max_length": 100}])
    options = _some(
        random,
        return_full_text=[True, False],
        repetition_penalty=[1.0, 1.3, 2.0],
        no_repeat_ngram_size=[1, 2, 3],
        bad_words_ids=[[[5]], [[7, 8], [9]]],
        suppress_tokens=[[3, 4, 5]],
    )
    if "max_new_tokens" in limit:
        options |= _some(random, min_new_tokens=[1, limit["max_new_tokens"]])
    one = _chat if random.random() < 0.3 else lambda random: _text(random)[:80]
    return Call(_texts(random, one), {"do_sample": False, **limit, **options})


def _chat(random: Random) -> list[dict[str, str]]:
    roles = ["system", "user", "assistant", "user"][random.randrange(2) : random.choice([2, 4])]
    return [{"role": role, "content": _text(random)[:40]} for role in roles]


_DRAW: dict[str, Callable[[Random, str], Call]] = {
    "text-classification": _text_classification,
    "token-classification": _token_classification,
    "fill-mask": _fill_mask,
    "feature-extraction": _feature_extraction,
    "zero-shot-classification": _zero_shot,
}
TASKS = tuple(_DRAW)
_OF_FILES: dict[str, Callable[[Random, str], Call]] = {
    "image-classification": _scored(_picture),
    "image-feature-extraction": _pictures_alone,
    "object-detection": _object_detection,
    "image-segmentation": _segmentation,
    "depth-estimation": _pictures_alone,
    "zero-shot-image-classification": _labelled(_picture),
    "audio-classification": _scored(_sound),
    "automatic-speech-recognition": _speech,
    "zero-shot-audio-classification": _labelled(_sound),
}
FILE_TASKS = tuple(_OF_FILES)
_DRAW |= {**_OF_FILES, "text-generation": _text_generation}
