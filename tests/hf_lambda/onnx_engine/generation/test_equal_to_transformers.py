"""Property: whatever the options, the decoding loop writes the tokens that `model.generate` writes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.families import others_slow
from tests.hf_lambda.onnx_engine.generation.conftest import VOCABULARY, Pair

EXPORTED = ("bart", "mbart", "pegasus", "t5", "flan-t5", "marian", "m2m100")
QUICK = 15
THOROUGH = 300


@pytest.mark.parametrize("family", others_slow(EXPORTED, "bart"))
def test_random_options_give_the_tokens_that_transformers_gives(pair, family):
    _compare(pair(family), range(QUICK))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("family", EXPORTED)
def test_many_random_options_give_the_tokens_that_transformers_gives(pair, family, seed):
    _compare(pair(family, seed), range(THOROUGH))


def _compare(models: Pair, cases: range) -> None:
    """A case whose answer depends on transformers' own rounding (fp32 against fp64) decides nothing."""
    undecided = 0
    for case in cases:
        choice = random.Random(case)
        options, sources = _options(choice), _sources(choice)
        if "encoder_no_repeat_ngram_size" in options or "encoder_repetition_penalty" in options:
            sources = sources[:1]  # transformers counts the padding of a batch as words, we do not
        expected = models.expected(sources, **options)
        answer = models.generate(sources, **options)
        comparable = [got if wanted else [] for got, wanted in zip(answer, expected, strict=True)]
        if comparable != expected and expected != models.expected(sources, precise=True, **options):
            undecided += 1
            continue
        assert comparable == expected, (case, options, sources)
    assert undecided <= 0.02 * len(cases)


def _sources(choice: random.Random) -> list[list[int]]:
    return [
        [*(choice.randrange(3, VOCABULARY - 1) for _ in range(choice.randint(1, 9))), 2]
        for _ in range(choice.choice([1, 1, 2, 3]))
    ]


def _options(choice: random.Random) -> dict[str, Any]:
    def tokens(count: int) -> list[int]:
        return choice.sample(range(3, VOCABULARY - 1), count)

    def some(share: float) -> bool:
        return choice.random() < share

    options: dict[str, Any] = {}
    beams = choice.choice([1, 1, 2, 3, 4, 5])
    if beams > 1:
        options["num_beams"] = beams
        options["num_return_sequences"] = choice.randint(1, beams)
        options["length_penalty"] = choice.choice([0.0, 0.6, 1.0, 2.0, -1.0])
        options["early_stopping"] = choice.choice([True, False, "never"])
    options[choice.choice(["max_new_tokens", "max_length"])] = choice.randint(3, 14)
    forced = tokens(1)[0]
    maybe = {
        "min_length": (0.3, choice.randint(0, 10)),
        "min_new_tokens": (0.2, choice.randint(0, 8)),
        "no_repeat_ngram_size": (0.3, choice.randint(1, 4)),
        "encoder_no_repeat_ngram_size": (0.2, choice.randint(1, 4)),
        "repetition_penalty": (0.3, choice.choice([1.3, 0.8, 2.5])),
        "encoder_repetition_penalty": (0.15, choice.choice([1.3, 0.8])),
        "forced_bos_token_id": (0.2, forced),
        "forced_eos_token_id": (0.3, 2),
        "bad_words_ids": (0.3, [tokens(choice.randint(1, 3)) for _ in range(choice.randint(1, 6))]),
        "suppress_tokens": (0.2, [token for token in tokens(6) if token != forced]),
        "begin_suppress_tokens": (0.2, tokens(5)),
        "exponential_decay_length_penalty": (0.2, (choice.randint(0, 5), choice.choice([1.1, 1.5, 0.9]))),
        "sequence_bias": (0.1, [[tokens(1), -1.0], [tokens(2), 3.0]]),
        "renormalize_logits": (0.1, True),
        "eos_token_id": (0.3, [2, *tokens(choice.randint(1, 20))]),
    }
    return options | {name: value for name, (share, value) in maybe.items() if some(share)}
