"""Property: whatever the options, the decoding loop writes the tokens that `model.generate` writes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.families import others_slow
from tests.hf_lambda.onnx_engine.decoder.conftest import VOCABULARY, Pair
from tests.tiny_decoders import FAMILIES

QUICK = 8
THOROUGH = 30


@pytest.mark.parametrize("family", others_slow(FAMILIES, "llama3", "gemma3"))
def test_random_options_give_the_tokens_that_transformers_gives(pair, family):
    _compare(pair(family), range(QUICK))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_many_random_options_give_the_tokens_that_transformers_gives(pair, family, seed):
    _compare(pair(family, seed), range(THOROUGH))


def _compare(models: Pair, cases: range) -> None:
    """A case whose answer depends on transformers' own rounding (fp32 against fp64) decides nothing."""
    undecided = 0
    for case in cases:
        choice = random.Random(case)
        prompts = _prompts(choice)
        options = _options(choice)
        answers = models.generate(prompts, **options)
        for prompt, answer in zip(prompts, answers, strict=True):
            expected = models.expected(prompt, **options)
            if answer != expected and expected != models.expected(prompt, precise=True, **options):
                undecided += 1
                continue
            assert answer == expected, (case, options, prompt)
    assert undecided <= 0.02 * len(cases)


def _prompts(choice: random.Random) -> list[list[int]]:
    """Of different lengths, some with a beginning in common."""
    common = [choice.randrange(3, VOCABULARY) for _ in range(choice.randint(0, 9))]
    return [
        common + [choice.randrange(3, VOCABULARY) for _ in range(choice.randint(1, 20))]
        for _ in range(choice.choice([1, 2, 3]))
    ]


def _options(choice: random.Random) -> dict[str, Any]:
    def tokens(count: int) -> list[int]:
        return choice.sample(range(3, VOCABULARY), count)

    options: dict[str, Any] = {"max_new_tokens": choice.randint(1, 16)}
    maybe = {
        "min_new_tokens": (0.3, choice.randint(0, 8)),
        "min_length": (0.1, choice.randint(0, 30)),
        "no_repeat_ngram_size": (0.3, choice.randint(1, 4)),
        "repetition_penalty": (0.3, choice.choice([1.3, 0.8, 2.5])),
        "encoder_repetition_penalty": (0.1, choice.choice([1.3, 0.8])),
        "encoder_no_repeat_ngram_size": (0.1, choice.randint(1, 4)),
        "bad_words_ids": (0.3, [tokens(choice.randint(1, 3)) for _ in range(choice.randint(1, 6))]),
        "suppress_tokens": (0.2, tokens(6)),
        "forced_eos_token_id": (0.2, 2),
        "exponential_decay_length_penalty": (0.2, (choice.randint(0, 5), choice.choice([1.1, 1.5, 0.9]))),
        "sequence_bias": (0.1, [[tokens(1), -1.0], [tokens(2), 3.0]]),
        "eos_token_id": (0.4, [2, *tokens(choice.randint(1, 30))]),
    }
    return options | {name: value for name, (share, value) in maybe.items() if choice.random() < share}
