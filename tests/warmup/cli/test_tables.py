"""The report as text."""

from warmup.cli.tables import lines_of

PREPARED = {
    "head": "sequence-classification",
    "precision": "int8",
    "bytes": 3 << 20,
    "agreement": {"fp32": {"same_labels": 1.0}, "int8": {"probability_difference": 0.0123456, "samples": 39}},
    "reason": None,
}
MODEL = {
    "model": "org/m",
    "revision": "main",
    "commit": "a" * 40,
    "files": 5,
    "bytes": 1 << 20,
    "seconds": 2.25,
}
ENDPOINT = {
    "name": "sentiment",
    "engine": "onnx-int8",
    "cold_ms": 412.4,
    "warm_ms": 3.4,
    "response": {"label": "GOOD"},
}


def warm(**changes: object) -> list[str]:
    entry = {**MODEL, "prepared": [PREPARED], "not_prepared": [], **changes}
    return list(lines_of("warm", {"warmup": [entry], "endpoints": [ENDPOINT]}))


def test_the_table_of_a_warm_up_shows_model_agreement_and_times() -> None:
    assert warm() == [
        "org/m@main  aaaaaaaaaaaa  5 files  1.0 MiB  2.2 s",
        "    prepared sequence-classification as int8, 3.0 MiB (probability_difference 0.0123, samples 39)",
        "",
        "endpoint   engine     cold ms  warm ms  answer",
        'sentiment  onnx-int8  412      3        {"label": "GOOD"}',
    ]


def test_why_not_int8_and_why_not_prepared_are_said() -> None:
    refused = {**PREPARED, "precision": "fp32", "reason": "probabilities differ by 0.2"}
    lines = warm(prepared=[refused], not_prepared=[{"task": "fill-mask", "reason": "no recipe"}])
    assert lines[1].endswith("(same_labels 1); not int8: probabilities differ by 0.2")
    assert lines[2] == "    not prepared for fill-mask, stays on torch: no recipe"


def test_a_long_answer_is_cut_and_an_endpoint_that_failed_has_no_row() -> None:
    endpoints = [{**ENDPOINT, "response": "x" * 200}, {"name": "other", "error": "no"}]
    lines = list(lines_of("warm", {"warmup": [], "endpoints": endpoints}))
    assert len(lines) == 3 and lines[-1].endswith("xx…")


def test_a_first_answer_that_was_no_cold_start_is_marked() -> None:
    endpoints = [{**ENDPOINT, "cold": False}]
    assert "412 (was up)" in list(lines_of("warm", {"warmup": [], "endpoints": endpoints}))[-1]


def test_a_prune_lists_what_went_and_what_was_busy() -> None:
    document = {"prune": {"removed": ["hub/x"], "bytes": 2048, "busy": ["org/b"]}}
    assert list(lines_of("prune", document)) == [
        "    hub/x",
        "1 removed, 2.0 KiB",
        "org/b: left alone, a warm-up is working on it",
    ]
