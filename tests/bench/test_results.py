"""A measurement that fails costs itself alone, and figures are on disk as they come."""

from pathlib import Path

import pytest

from bench import figures, report
from bench.contenders import Contender
from bench.figures import Measured
from bench.results import Results
from bench.workloads import WORKLOADS

DISTILBERT = WORKLOADS[0]
OURS = Contender("hf-lambda int8", "ours", Path(), "slim")
ANCESTOR = Contender("ancestor", "ancestor", Path(), "full")


def test_a_measurement_that_fails_is_a_dash_and_a_sentence(tmp_path):
    results = Results(DISTILBERT, 1, "a machine", ["a note"], tmp_path)
    with results.measuring("round 1", ANCESTOR) as measured:
        measured["first_s"] = [3.0]
    for error in (RuntimeError("cannot mount\nmore"), OSError("no strace"), ValueError()):
        with results.measuring(type(error).__name__, OURS) as measured:
            raise error
    with results.measuring("round 2", OURS) as measured:
        measured["peak_mb"] = [100.0]
    assert results.measured.notes == [
        "a note",
        "DistilBERT RuntimeError: hf-lambda int8 failed: cannot mount",
        "DistilBERT OSError: hf-lambda int8 failed: no strace",
        "DistilBERT ValueError: hf-lambda int8 failed: ValueError",
    ]
    page = report.page([results.measured]).splitlines()
    assert "- DistilBERT RuntimeError: hf-lambda int8 failed: cannot mount" in page
    assert any(line.startswith("| hf-lambda int8 | - | 100 |") for line in page)
    assert "| DistilBERT: first answer, local disk | 15x | not measured | | |" in page


def test_a_mistake_of_our_own_ends_the_run_with_what_was_measured_on_disk(tmp_path):
    results = Results(DISTILBERT, 1, "a machine", [], tmp_path)
    with (
        pytest.raises(KeyError),
        results.measuring("round 1", OURS) as measured,
    ):
        measured["first_s"] = [0.2]
        raise KeyError("bug")
    (found,) = figures.read((), tmp_path)
    assert found.contenders == {"hf-lambda int8": {"first_s": [0.2]}}


def test_a_figure_of_nought_is_no_ratio():
    contenders = {"ancestor": {"called_bytes": 10}, "hf-lambda int8": {"called_bytes": 0}}
    page = report.page([Measured("DistilBERT", 1, "a machine", contenders)])
    assert "| DistilBERT: image bytes read to first answer, by calls | 20x | not measured | | |" in page
