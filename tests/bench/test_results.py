"""A measurement that fails costs itself alone, and figures are on disk as they come."""

import json
from pathlib import Path

import pytest

from bench import report
from bench.contenders import Contender
from bench.results import Results
from bench.workloads import WORKLOADS

DISTILBERT = WORKLOADS[0]
OURS = Contender("hf-lambda int8", "ours", Path(), "slim")
ANCESTOR = Contender("ancestor", "ancestor", Path(), "full")


def test_a_measurement_that_fails_is_a_dash_and_a_sentence(tmp_path):
    results = Results(tmp_path / "results.json", ["a note"])
    with results.measuring("round 1: ancestor", DISTILBERT, ANCESTOR) as figures:
        figures["first_s"] = [3.0]
    for error in (RuntimeError("cannot mount\nmore"), OSError("no strace"), ValueError()):
        with results.measuring(f"{type(error).__name__}: ours", DISTILBERT, OURS) as figures:
            raise error
    with results.measuring("round 2: ours", DISTILBERT, OURS) as figures:
        figures["peak_mb"] = [100.0]
    assert results.notes == [
        "a note",
        "RuntimeError: ours failed: cannot mount",
        "OSError: ours failed: no strace",
        "ValueError: ours failed: ValueError",
    ]
    page = report.page(results.figures, results.notes, {"DistilBERT": 1}, on="a machine").splitlines()
    assert "- RuntimeError: ours failed: cannot mount" in page
    assert any(line.startswith("| hf-lambda int8 | - | - | 100 |") for line in page)
    assert "| DistilBERT: first answer, local disk | 15x | not measured | | |" in page


def test_a_mistake_of_our_own_ends_the_run_with_what_was_measured_on_disk(tmp_path):
    results = Results(tmp_path / "results.json", [])
    with (
        pytest.raises(KeyError),
        results.measuring("round 1: ours", DISTILBERT, OURS) as figures,
    ):
        figures["first_s"] = [0.2]
        raise KeyError("bug")
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "DistilBERT": {"hf-lambda int8": {"first_s": [0.2]}}
    }


def test_a_figure_of_nought_is_no_ratio():
    figures = {"DistilBERT": {"ancestor": {"called_bytes": 10}, "hf-lambda int8": {"called_bytes": 0}}}
    page = report.page(figures, [], {}, on="a machine")
    assert "| DistilBERT: image bytes read to first answer, by calls | 20x | not measured | | |" in page
