"""The benchmark's page says what was seen and by how much a target is missed."""

import platform
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import figures, plot, report
from bench.figures import Measured
from bench.workloads import WORKLOADS

SVG = "{http://www.w3.org/2000/svg}"


def test_a_target_is_held_missed_by_so_much_or_not_measured():
    contenders: dict[str, dict[str, Any]] = {
        "ancestor": {"first_s": [3.0, 3.2, 9.9], "peak_mb": 500.0, "warm:short": [0.020]},
        "hf-lambda int8": {"first_s": [0.2, 0.1, 0.3], "peak_mb": 250.0, "warm:short": [0.002]},
    }
    page = report.page([Measured("DistilBERT", 3, "a machine", contenders, ["a note"])]).splitlines()
    assert "| DistilBERT: first answer, local disk | 15x | 16.0x | 15.0x to 33.0x | held |" in page
    assert "| DistilBERT: peak memory | 4x | 2.0x | | missed by 50 % |" in page
    assert "| DistilBERT: warm, 128 tokens | 3x | not measured | | |" in page
    assert "## DistilBERT (3 rounds)" in page and "a machine." in page
    assert "- a note" in page
    row = next(line for line in page if line.startswith("| hf-lambda int8"))
    assert "| 0.20 (16.0x) | 2.0 (10.0x) | 250 (2.0x) |" in row


def test_cost_counts_whole_milliseconds_at_one_vcpu_or_the_memory_that_the_process_needs():
    request = 0.20
    small, memory_mb = report.usd_per_million(0.0021, 100)
    assert memory_mb == 1_769
    assert small == pytest.approx(request + 0.003 * 1_769 / 1024 * report.GB_SECOND_USD * 1e6)
    large, memory_mb = report.usd_per_million(1.0, 4_000)
    assert memory_mb == 4_416  # a tenth more than the process had, in steps of 64 MB
    assert large == pytest.approx(request + 4_416 / 1024 * report.GB_SECOND_USD * 1e6)


def test_a_run_replaces_its_own_workloads_and_the_page_keeps_the_others(tmp_path: Path):
    first = {"ancestor": {"first_s": [3.0]}, "hf-lambda int8": {"first_s": [0.123456789]}}
    for workload in ("MiniLM", "DistilBERT", "download / S3"):
        figures.write(Measured(workload, 1, "yesterday", first), tmp_path)
    figures.write(Measured("DistilBERT", 2, "today", {"ancestor": {"first_s": [4.0]}}, ["a note"]), tmp_path)
    found = figures.read(("DistilBERT", "BART-large", "MiniLM"), tmp_path)
    assert [(each.workload, each.on) for each in found] == [
        ("DistilBERT", "today"),
        ("MiniLM", "yesterday"),
        ("download / S3", "yesterday"),
    ]
    assert found[0].notes == ["a note"] and found[0].contenders == {"ancestor": {"first_s": [4.0]}}
    assert found[1].contenders["hf-lambda int8"]["first_s"] == [0.1234567]


def test_the_committed_page_and_picture_are_those_of_the_committed_figures():
    order = [each.name for each in WORKLOADS]
    measured = figures.read(order)
    page = figures.REPOSITORY / "bench" / "results.md"
    how = "python -m bench --page writes both"
    assert page.read_text() == report.page(measured, figures.read(order, figures.AVX2_DATA)), how
    assert page.with_suffix(".svg").read_text() == plot.svg(measured), how


def test_bars_are_as_long_as_the_medians_and_ours_stand_out():
    contenders: dict[str, dict[str, Any]] = {
        "ancestor": {"first_s": [4.0, 4.0, 9.9], "warm:a < b": [0.020]},
        "hf-lambda int8": {"first_s": [0.5, 1.0, 1.2], "peak_mb": 250.0},
        "only its size": {"installed_bytes": 1},
    }
    drawn = ElementTree.fromstring(plot.svg([Measured("Model & Co", 3, "a machine", contenders)]))
    bars = {each.get("class"): float(each.get("width", 0)) for each in drawn.iterfind(f"{SVG}rect")}
    texts = [each.text for each in drawn.iterfind(f"{SVG}text")]
    first, ours, warm = [float(each.get("width", 0)) for each in drawn.iterfind(f"{SVG}rect")]
    assert first == warm == 4 * ours and set(bars) == {"other", "ours"}
    assert {"Model & Co", "4.00 s", "1.00 s", "20.0 ms", "warm, a < b"} <= set(texts)
    assert "only its size" not in texts


def test_a_language_model_is_drawn_by_its_tokens_and_noise_is_not_drawn():
    contenders: dict[str, dict[str, Any]] = {
        "ancestor": {"first_s": [4.0], "token_s": [0.02], "prompt_token_s": [0.01]},
        "hf-lambda int8": {"first_s": [1.0], "token_s": [-0.001], "prompt_token_s": [0.01]},
    }
    drawn = ElementTree.fromstring(plot.svg([Measured("A model", 1, "a machine", contenders)]))
    texts = [each.text for each in drawn.iterfind(f"{SVG}text")]
    assert {"first token, cold", "each token, warm"} <= set(texts)
    assert len(drawn.findall(f"{SVG}rect")) == 3


def test_figures_of_avx2_alone_stand_in_a_chapter_of_their_own():
    contenders: dict[str, dict[str, Any]] = {
        "ancestor": {"first_s": [4.0]},
        "hf-lambda int8": {"first_s": [1.0]},
    }
    others = Measured("DistilBERT", 1, "a machine", contenders)
    slower = Measured("DistilBERT", 1, "an older machine", contenders, ["a note"])
    above, _, below = report.page([others], [slower]).partition("# On AVX2 alone")
    assert "a machine." in above and "an older machine" not in above and "not measured" in above
    assert "an older machine." in below and "missed by 73 %" in below and "- a note" in below
    assert "not measured" not in below  # said once
    assert "AVX2" not in report.page([others])


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ("sse avx2 fma", figures.AVX2_DATA),
        ("avx2 avx512f", figures.AVX2_DATA),
        ("avx2 avx_vnni", figures.DATA),
        ("avx2 avx512f avx512_vnni", figures.DATA),
        ("avx2 amx_int8", figures.DATA),
        ("fp asimd asimddp", figures.DATA),
    ],
)
def test_a_run_writes_to_the_figures_of_its_kind_of_processor(flags: str, folder: Path):
    assert report.data_folder(f"model name\t: A Processor\nflags\t\t: {flags}\n") == folder


@pytest.mark.parametrize(
    ("cpuinfo", "said"),
    [
        ("model name\t: A Processor\nflags\t\t: sse avx2 fma\n", "A Processor with avx2"),
        (
            "model name\t: A Processor\nflags\t\t: avx2 avx512f avx512_vnni amx_int8\n\nmodel name: B\n",
            "A Processor with avx2, avx512f, avx512_vnni, amx_int8",
        ),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", platform.machine()),
        ("", platform.machine()),
    ],
)
def test_the_page_says_which_instructions_for_8_bits_the_processor_has(cpuinfo: str, said: str):
    assert report.processor(cpuinfo) == said
    assert report.processor(Path("/proc/cpuinfo").read_text()) in report.machine()
