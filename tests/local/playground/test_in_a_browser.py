"""The page as a person meets it: in Chromium, headless, with every request on its real way."""

import ast
import functools
import http.server
import json
import subprocess
import sys
import threading

import pytest

from tests.local.playground import browser

LABELS = [("German", 0.75), ("French", 0.25)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(playground, tmp_path_factory):
    """What browse.py saw."""
    browser.chromium()
    page = tmp_path_factory.mktemp("stranger")
    (page / "index.html").write_text("<!doctype html><title>Another page</title>")
    serve = functools.partial(_Quiet, directory=page)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{stranger.server_address[1]}/"
        done = browser.run("browse.py", playground.server.address, address)
        stranger.shutdown()
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing."""


def test_the_secret_leaves_the_address_bar_and_nothing_goes_wrong_unseen(seen):
    assert seen["address"].endswith("/")
    assert seen["problems"] == []


def test_a_form_is_filled_sent_by_keyboard_and_answered_as_bars(seen):
    labels = seen["labels"]
    event = {"text": "Guten Abend <b>!</b>", "kind": "formal", "top_k": 3}
    assert (labels["example"], labels["json"]) == ("Guten Tag", event)
    names = [row.split("\t")[0].strip() for row in labels["rows"]]
    assert names == [f"{name}, formal: Guten Abend <b>!</b>" for name in ("German", "French", "Italian")]
    assert labels["rows"][0].split()[-1] == "0.75"


def test_what_it_took_is_told_and_a_cold_start_is_had_at_will(seen):
    labels = seen["labels"]
    assert "a million such requests" in labels["cost"]
    assert "cold" in labels["again"]
    assert labels["chart"] == 2


def test_a_streamed_answer_is_read_and_one_without_end_is_stopped(seen):
    assert seen["streamed"] == seen["stopped"] == "one two three "


def test_a_chat_is_asked_as_openai_s_clients_do(seen):
    path = "/chat/v1/chat/completions"
    assert seen["chat"] == ["What is the capital of France?", "It is Paris.", "It was Rome.", path]


def test_what_make_dev_says_is_seen_without_a_reload(seen):
    said, typed, cost = seen["edited"]
    assert said == "labels.py:3: a mistake\nand another" and typed == "typed"
    assert "cold" in cost


def test_errors_are_shown_the_endpoint_s_and_the_form_s(seen):
    failed, empty = seen["error"]
    assert failed == "500: the endpoint failed; its log has this id"
    assert empty == "number: is needed"


def test_a_picture_has_boxes_over_it(seen):
    assert seen["objects"] == "cat 0.875"


def test_the_lines_to_copy_ask_what_the_form_says(seen):
    assert list(seen["calls"]) == ["curl", "aws", "boto3"]
    text = 'It\'s "so" \\n, $HOME `x` ü\nnext'
    expected = [{"label": f"{name}, plain: {text}", "score": score} for name, score in LABELS]
    by_boto3 = [sys.executable, "-c", seen["calls"]["boto3"]]
    said = subprocess.run(by_boto3, capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(said)["body"] == expected
    by_curl = ["bash", "-c", seen["calls"]["curl"].replace("curl ", "curl -sS ", 1)]
    said = subprocess.run(by_curl, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == expected


def test_a_mask_lies_over_its_half_of_the_picture(seen):
    left, right = seen["segments"]
    assert left > 100
    assert right == 0


def test_a_script_that_does_not_load_is_told_with_its_reason(seen):
    assert "No module named 'no_such_package'" in seen["broken"]


def test_the_cache_names_a_model_that_is_not_warm(seen):
    assert "org/name abc" in seen["cache"]
    assert "not in the cache: run the warm-up" in seen["cache"]


def test_it_fits_400_pixels_in_the_dark_and_every_control_has_a_name(seen):
    narrow = seen["narrow"]
    assert narrow["marks"] == ["Ada PER 0.9", "Paris LOC 0.9"]
    assert narrow["table"].split() == ["1", "a", "cat", "1.00", "0.80", "0.00"]
    assert narrow["wide"] <= 400
    assert narrow["unnamed"] == 0


def test_without_the_secret_it_says_what_to_open(seen):
    assert "open the address that the command printed" in seen["without"]


def test_a_page_of_another_origin_gets_nothing_even_with_the_secret(seen):
    stranger = seen["stranger"]
    assert stranger["fetched"] == ["TypeError"] * 3
    assert set(stranger["answers"]) == {403}
