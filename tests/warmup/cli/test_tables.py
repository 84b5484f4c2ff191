"""The report as text."""

from dataclasses import replace
from typing import Any

from hf_lambda.manifest import NotComparedEntry, NotPreparedEntry, PreparedEntry, RefusedUse
from warmup.cli.tables import lines_of, table_lines
from warmup.protocol.answers import PruneResult, WarmedModel
from warmup.protocol.reports import EndpointAnswer, EndpointFailure, PruneReport, WarmReport

PREPARED = PreparedEntry(
    head="sequence-classification",
    requested="auto",
    precision="int8",
    path="prepared/x",
    machine="x86_64",
    onnxruntime="1.32.0",
    bytes=3 << 20,
    agreement={"fp32": {"same_labels": 1.0}, "int8": {"probability_difference": 0.0123456, "samples": 39}},
)
MODEL = WarmedModel("org/m", "main", "a" * 40, 1 << 20, (PREPARED,), (), 5, 2.25)
ENDPOINT = EndpointAnswer(
    name="sentiment",
    task="text-classification",
    repo_id="org/m",
    commit="a" * 40,
    request={"text": "x"},
    engine="onnx-int8",
    cold=True,
    cold_ms=412.4,
    warm_ms=3.4,
    phases={},
    response={"label": "GOOD"},
)


def warm(**changes: Any) -> list[str]:
    return list(lines_of(WarmReport("dev", (replace(MODEL, **changes),), (ENDPOINT,))))


def test_the_table_of_a_warm_up_shows_model_agreement_and_times() -> None:
    assert warm() == [
        "org/m@main  aaaaaaaaaaaa  5 files  1.0 MiB  2.2 s",
        "    prepared sequence-classification as int8, 3.0 MiB (probability_difference 0.0123, samples 39)",
        "",
        "endpoint   engine     cold ms  warm ms  answer",
        'sentiment  onnx-int8  412      3        {"label": "GOOD"}',
    ]


def test_the_memory_of_a_language_model_and_what_had_better_be_changed_are_said() -> None:
    made = replace(PREPARED, memory_mb=945, context=4096)
    report = WarmReport("dev", (replace(MODEL, prepared=(made,)),), (ENDPOINT,), advice=("raise it",))
    lines = list(lines_of(report))
    assert lines[2] == "        a function takes 945 MB to serve a text of 4096 tokens"
    assert lines[-1] == "raise it"


def test_why_not_int8_and_why_not_prepared_are_said() -> None:
    refused = replace(PREPARED, precision="fp32", reason="probabilities differ by 0.2")
    stays = NotPreparedEntry("masked-lm", "auto", "no recipe", "fill-mask")
    lines = warm(prepared=(refused,), not_prepared=(stays,))
    assert lines[1].endswith("(same_labels 1); not int8: probabilities differ by 0.2")
    assert lines[2] == "    not prepared for fill-mask, stays on torch: no recipe"


def test_what_was_not_compared_and_what_is_refused_is_said() -> None:
    unknown = NotComparedEntry("decision", "the comparison was killed")
    lines = warm(not_compared=(unknown,), refused=(RefusedUse("fill-mask", "auto", "auto", "no head"),))
    assert lines[2:4] == [
        "    NOT COMPARED whether its weights were trained for decision: the comparison was killed",
        "    REFUSED for fill-mask: no head",
    ]


def test_a_long_answer_is_cut_and_an_endpoint_that_failed_has_no_row() -> None:
    failed = EndpointFailure("other", None, None, None, {}, "no")
    report = WarmReport("dev", (), (replace(ENDPOINT, response="x" * 200), failed))
    lines = list(lines_of(report))
    assert len(lines) == 3 and lines[-1].endswith("xx…")


def test_a_first_answer_that_was_no_cold_start_is_marked() -> None:
    report = WarmReport("dev", (), (replace(ENDPOINT, cold=False),))
    assert "412 (was up)" in list(lines_of(report))[-1]


def test_a_prune_lists_what_went_and_what_was_busy() -> None:
    report = PruneReport("dev", PruneResult(("hub/x",), 2048, ("org/b",)))
    assert list(lines_of(report)) == [
        "    hub/x",
        "1 removed, 2.0 KiB",
        "org/b: left alone, a warm-up is working on it",
    ]


def test_a_prune_that_failed_removed_nothing() -> None:
    assert list(lines_of(PruneReport("dev", None))) == ["0 removed, 0 B"]


def test_numbers_stand_right_and_nothing_in_a_cell_is_interpreted_or_cut() -> None:
    long = "[bold]" + "x" * 300
    assert table_lines(("name", "ms"), [(long, "7"), ("b", "1234")], right=("ms",)) == [
        f"name{' ' * 302}    ms",
        f"{long}     7",
        f"b{' ' * 305}  1234",
    ]
