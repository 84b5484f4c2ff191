"""How fast the warm-up downloads is measured over a real Hub, with all contenders."""

from pathlib import Path

import pytest

from bench import download, report
from bench.figures import Measured


@pytest.mark.slow
def test_all_contenders_download_a_model_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "LAYOUTS", {"two-shards": (30_000, 40_000)})
    seconds = download.measure(tmp_path, rounds=1)
    assert [*seconds] == [*download.CONTENDERS]
    assert all([*layouts] == ["two-shards"] for layouts in seconds.values())
    assert all(
        len(layouts["two-shards"]) == 1 and layouts["two-shards"][0] > 0 for layouts in seconds.values()
    )


def test_the_page_says_that_it_is_http_alone_and_compares_medians():
    seconds = {"snapshot_download": {"one-file": [3.0, 3.6, 9.0]}, "warm-up": {"one-file": [4.0, 4.5, 4.2]}}
    seconds |= {"relay": {"one-file": [6.3, 6.0, 7.0]}, "S3": {"one-file": [2.0, 2.5, 1.0]}}
    page = report.page([Measured(download.WORKLOAD, 3, "a machine", seconds)])
    assert "by HTTP alone: large files of the\nreal Hub come through Xet, which was not measured" in page
    assert "| one file | 3.60 | 4.20 | 86% | 6.30 | 1.5x | 2.00 |" in page
