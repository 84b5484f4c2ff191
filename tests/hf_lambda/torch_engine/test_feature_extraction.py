"""Vectors: as transformers gives them per token, and pooled per text."""

from __future__ import annotations

import pytest

from hf_lambda.errors import Unprocessable
from hf_lambda.torch_engine import load

TEXTS = ["the cat sat on the mat", "we love this film", "bad"]


def theirs(folder):
    import transformers

    pipeline = transformers.pipeline("feature-extraction", model=str(folder), device="cpu")
    return [pipeline(text) for text in TEXTS]


def test_every_token_has_the_vector_that_transformers_gives_it(tiny):
    import numpy as np

    folder = tiny("BertModel")
    for ours, expected in zip(load("feature-extraction", folder)(TEXTS), theirs(folder), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize(("pooling", "pooled"), [("mean", lambda v: v.mean(0)), ("cls", lambda v: v[0])])
def test_pooling_gives_one_vector_per_text(tiny, pooling, pooled):
    import numpy as np

    folder = tiny("BertModel")
    expected = [pooled(np.array(vectors)[0]) for vectors in theirs(folder)]
    np.testing.assert_allclose(
        load("feature-extraction", folder)(TEXTS, pooling=pooling), expected, atol=1e-5
    )
    normal = load("feature-extraction", folder)(TEXTS, pooling=pooling, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)


def test_a_long_text_is_refused_unless_truncated(tiny):
    engine = load("feature-extraction", tiny("BertModel"))
    with pytest.raises(Unprocessable, match=r"202 tokens, the model takes at most 64: .* truncation"):
        engine(["cat " * 200])
    assert len(engine(["cat " * 200], truncation=True)[0][0]) == 64
    assert len(engine(["cat " * 200], truncation=True, max_length=10)[0][0]) == 10
