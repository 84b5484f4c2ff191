"""The gate's samples: built in for every head, or the user's own, checked for their shape."""

from pathlib import Path

import pytest

from tests.warmup.prepare.conftest import requested
from warmup.prepare import NotPrepared
from warmup.prepare.samples import samples_of

TASKS = [
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
    "feature-extraction",
    "text-ranking",
]


def request_of(task, samples=None):
    return requested(Path("/snapshot"), task, samples=samples)


@pytest.mark.parametrize("task", TASKS)
def test_every_head_has_enough_built_in_samples(task):
    assert len(samples_of(request_of(task), "[MASK]")) >= 8


def test_masked_samples_have_the_mask_of_the_model():
    assert all("<mask>" in sample for sample in samples_of(request_of("fill-mask"), "<mask>"))


@pytest.mark.parametrize(
    ("task", "given", "wanted"),
    [
        ("text-classification", "a text", "a text"),
        ("text-classification", {"text": "a"}, "a"),
        ("text-classification", {"text": "a", "text_pair": "b"}, ("a", "b")),
        ("question-answering", {"question": "q", "context": "c"}, ("q", "c")),
        ("question-answering", ["q", "c"], ("q", "c")),
        ("fill-mask", "a [MASK]", "a [MASK]"),
    ],
)
def test_own_samples_are_taken(task, given, wanted):
    assert samples_of(request_of(task, (given,)), "[MASK]") == [wanted]


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        ("text-classification", 7, "expected a text"),
        ("text-classification", {"txt": "a"}, "expected a text"),
        ("question-answering", "q", '"question"'),
        ("text-ranking", ["q", "d"], r'"documents": \[...\]'),
        ("text-ranking", {"query": "q", "documents": [3]}, "is not a text"),
        ("fill-mask", "nothing missing", r"a text with \[MASK\]"),
    ],
)
def test_own_samples_of_another_shape_are_refused(task, given, expected):
    with pytest.raises(NotPrepared, match=expected):
        samples_of(request_of(task, (given,)), "[MASK]")


def test_a_query_of_the_users_own_is_asked_with_each_of_its_documents():
    given = {"query": "q", "documents": ["a", {"text": "b"}]}
    assert samples_of(request_of("text-ranking", (given,)), None) == [("q", "a"), ("q", "b")]
