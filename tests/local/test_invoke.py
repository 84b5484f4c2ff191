"""`make invoke`: one request to a function of a stack."""

import io
import json

import pytest

from local.invoke import invoke, read_event
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests.local.functions_to_run import declare
from warmup.protocol.errors import WarmupError

OUTPUTS = {"functions": {"probe": declare().arn}, "warmupArn": declare("warmup").arn}


@pytest.fixture
def stack(emulators, root):
    """The probe as a running stack, with its outputs where `make up` leaves them."""
    (root / ".local").mkdir()
    with serve(Gateway((declare(),), emulators)) as url:
        outputs = {**OUTPUTS, "endpointUrl": url}
        (root / ".local/outputs.json").write_text(json.dumps(outputs))
        yield root


def test_the_answer_comes_as_the_function_gave_it(stack):
    answer, failed = invoke("probe", '{"text": "costs $5"}', "local", stack)
    assert json.loads(answer)["event"] == {"text": "costs $5"}
    assert not failed


def test_an_error_of_the_function_is_told_apart(stack):
    answer, failed = invoke("probe", '{"raise": "no"}', "local", stack)
    assert failed and json.loads(answer)["errorMessage"] == "no"


def test_without_an_event_the_script_s_example_is_asked(stack):
    (stack / "inference/probe.py").unlink()
    (stack / "inference/probe.py").write_text(
        "from hf_lambda import endpoint, pipeline\n"
        'EXAMPLE = {"text": "of the script"}\n'
        'classify = pipeline("text-classification", model="org/name")\n\n\n'
        "@endpoint\ndef handler(text: str):\n    return classify(text)\n"
    )
    with pytest.raises(WarmupError, match="nope"):
        invoke("nope", None, "local", stack)
    answer, _ = invoke("probe", None, "local", stack)
    assert "errorType" in answer or "statusCode" in answer


def test_an_unknown_function_is_named_with_those_there_are(stack):
    with pytest.raises(WarmupError, match="there is no function 'nope' in stack local; there are: probe"):
        invoke("nope", "{}", "local", stack)


def test_an_endpoint_that_is_switched_off_is_told_at_once(emulators, root):
    function = declare(max_instances=0)
    (root / ".local").mkdir()
    with serve(Gateway((function,), emulators)) as url:
        (root / ".local/outputs.json").write_text(json.dumps({**OUTPUTS, "endpointUrl": url}))
        with pytest.raises(WarmupError, match="probe is switched off: with reservedConcurrency 0"):
            invoke("probe", "{}", "local", root)


def test_an_event_that_is_not_json_is_refused_with_one_that_is(stack):
    with pytest.raises(WarmupError, match=r"EVENT is not JSON .*: 'x'; write it like EVENT='\{"):
        invoke("probe", "x", "local", stack)


@pytest.mark.parametrize("text", ['{"text": "costs $5"}', '"x"', "[]", "null", '{"ä": "\\ud83d"}'])
def test_an_event_comes_from_a_file_or_from_standard_input_too(tmp_path, text):
    file = tmp_path / "event.json"
    file.write_text(text)
    assert read_event(f"@{file}", io.StringIO()) == read_event("-", io.StringIO(text)) == text.encode()
    file.write_text(text, encoding="utf-8-sig")
    assert read_event(f"@{file}", io.StringIO()) == text.encode()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_file_that_holds_no_event_is_refused(tmp_path, content):
    (tmp_path / "event.json").write_bytes(content)
    with pytest.raises(WarmupError, match=r"EVENT is not JSON|cannot be read"):
        read_event(f"@{tmp_path / 'event.json'}", io.StringIO())


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WarmupError, match=r"EVENT=@.*nope cannot be read: .*No such file"):
        read_event(f"@{tmp_path}/nope", io.StringIO())


def test_a_stack_that_is_not_up_says_how_to_start_it(tmp_path):
    with pytest.raises(WarmupError, match=r"outputs\.json is not there\. Run make up"):
        invoke("probe", "{}", "local", tmp_path)


def test_a_gateway_that_is_gone_says_how_to_start_it(tmp_path):
    (tmp_path / ".local").mkdir()
    outputs = {**OUTPUTS, "endpointUrl": "http://127.0.0.1:9"}
    (tmp_path / ".local/outputs.json").write_text(json.dumps(outputs))
    with pytest.raises(WarmupError, match=r"cannot reach http://127\.0\.0\.1:9\. Is the stack up\? make up"):
        invoke("probe", "{}", "local", tmp_path)


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A stand-in for the command: answers with what the test writes."""
    script = tmp_path / "pulumi"
    monkeypatch.setenv("PATH", str(tmp_path))

    def says(text):
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)

    return says


def test_another_stack_is_asked_by_the_arns_that_pulumi_has(stack, pulumi):
    outputs = (stack / ".local/outputs.json").read_text()
    pulumi(f"echo '{outputs}'")
    answer, _ = invoke("probe", "{}", "dev", stack)
    assert json.loads(answer)["event"] == {}


def test_what_pulumi_says_of_an_unknown_stack_is_passed_on(tmp_path, pulumi):
    pulumi("echo 'no stack named dev' >&2; exit 1")
    with pytest.raises(WarmupError, match="--stack dev` failed: no stack named dev"):
        invoke("probe", "{}", "dev", tmp_path)


def test_without_pulumi_it_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WarmupError, match="pulumi is not on the PATH"):
        invoke("probe", "{}", "dev", tmp_path)
