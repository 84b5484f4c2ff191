"""The Lambda Invoke API as boto3, plain HTTP and browsers meet it; functions run for real."""

import base64
import contextlib
import gzip
import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from local.program.functions import WARMUP_COMMAND, Cors, FunctionUrl
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests.local.functions_to_run import declare, wait_for
from warmup.cli.access import gateway_client

ONCE = {"total_max_attempts": 1}


@pytest.fixture
def gateway(emulators):
    """Serves the functions it is given; returns a boto3 client and the URL."""
    with contextlib.ExitStack() as stack:

        def begin(*functions, **options):
            made = Gateway(functions or (declare(),), emulators, **options)
            url = stack.enter_context(serve(made))
            client = gateway_client(url, "us-east-1", retries=ONCE, read_timeout=60, max_pool_connections=32)
            stack.callback(client.close)
            return client, url

        yield begin


def ask(client, event=None, name="probe-1a2b3c4", **options):
    return client.invoke(FunctionName=name, Payload=json.dumps(event or {}), **options)


def body(answer):
    return json.loads(answer["Payload"].read())


def refused(client, *arguments, **options):
    with pytest.raises(ClientError) as caught:
        ask(client, *arguments, **options)
    return caught.value.response


@pytest.mark.parametrize(
    "name",
    [
        "probe-1a2b3c4",
        "probe-1a2b3c4:$LATEST",
        "123456789012:probe-1a2b3c4",
        "123456789012:function:probe-1a2b3c4",
        "arn:aws:lambda:us-east-1:123456789012:function:probe-1a2b3c4",
        "arn:aws:lambda:us-east-1:123456789012:function:probe-1a2b3c4:live",
    ],
)
def test_a_function_is_found_by_name_and_by_arn(gateway, name):
    client, _ = gateway()
    answer = ask(client, {"text": "hello"}, name)
    assert body(answer)["event"] == {"text": "hello"}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer


def test_the_tail_of_the_log_comes_when_asked_for(gateway):
    client, _ = gateway()
    answer = ask(client, LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    assert f"START RequestId: {answer['ResponseMetadata']['RequestId']}" in log
    assert "asked []" in log
    assert "LogResult" not in ask(client)


def test_a_client_context_reaches_the_function(gateway):
    client, _ = gateway()
    context = base64.b64encode(json.dumps({"custom": {"who": "me"}}).encode()).decode()
    assert body(ask(client, ClientContext=context))["client_context"] == {"who": "me"}


def test_no_payload_is_an_empty_event(gateway):
    client, _ = gateway()
    assert body(client.invoke(FunctionName="probe-1a2b3c4"))["event"] == {}


def test_an_exception_of_the_function_is_a_function_error(gateway):
    client, _ = gateway()
    answer = ask(client, {"raise": "no"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert body(answer)["errorType"] == "ValueError"


def test_an_answer_over_six_megabytes_is_a_function_error(gateway):
    client, _ = gateway()
    answer = ask(client, {"big": 6 * 1024 * 1024 + 1000})
    assert answer["FunctionError"] == "Unhandled"
    assert body(answer)["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_unknown_function_is_not_found_and_the_message_names_those_there_are(gateway):
    client, _ = gateway()
    error = refused(client, name="nope")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error["Error"]["Code"] == "ResourceNotFoundException"
    assert "nope" in error["Error"]["Message"] and "probe-1a2b3c4" in error["Error"]["Message"]


@pytest.mark.parametrize("payload", [b"{not json", b'{"x": NaN}', b"[-Infinity]", b"\xff", b"[" * 100_000])
def test_a_payload_that_is_not_json_is_refused(gateway, payload):
    client, _ = gateway()
    with pytest.raises(
        client.exceptions.InvalidRequestContentException, match="Could not parse request body"
    ):
        client.invoke(FunctionName="probe-1a2b3c4", Payload=payload)


def test_a_key_that_comes_twice_reaches_the_function_as_it_was_sent(gateway):
    client, _ = gateway()
    answer = client.invoke(FunctionName="probe-1a2b3c4", Payload=b'{"a": 1, "a": 2}')
    assert body(answer)["event"] == {"a": 2}


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
def test_a_payload_over_lambda_s_limit_is_refused(gateway, kind, limit):
    client, _ = gateway()
    with pytest.raises(client.exceptions.RequestTooLargeException, match=f"limit {limit} bytes"):
        ask(client, {"text": "x" * limit}, InvocationType=kind)


def test_a_payload_of_just_six_megabytes_is_answered(gateway):
    client, _ = gateway()
    text = "x" * (6 * 1024 * 1024 - len('{"skip": ""}'))
    answer = ask(client, {"skip": text})
    assert body(answer)["errorType"] == "Function.ResponseSizeTooLarge"  # it got there; its echo is too large


def test_a_dry_run_runs_nothing(gateway, root):
    client, _ = gateway()
    assert ask(client, InvocationType="DryRun")["StatusCode"] == 204
    assert not (root / "state/logs/probe.log").exists()
    assert (
        refused(client, name="nope", InvocationType="DryRun")["Error"]["Code"] == "ResourceNotFoundException"
    )


def test_an_unknown_invocation_type_is_refused(gateway):
    _, url = gateway()
    path = "/2015-03-31/functions/probe-1a2b3c4/invocations"
    request = urllib.request.Request(url + path, b"{}", {"X-Amz-Invocation-Type": "Later"})
    with pytest.raises(urllib.error.HTTPError) as caught, contextlib.closing(urllib.request.urlopen(request)):
        pass
    with caught.value as error:
        assert (error.code, error.headers["x-amzn-ErrorType"]) == (400, "InvalidParameterValueException")


def test_requests_at_the_same_time_run_in_instances_of_their_own_that_are_used_again(gateway, root):
    client, _ = gateway(declare(writes=True))
    answers = []
    events = [{"touch": f"busy-{n}", "until": str(root / "efs/go")} for n in range(3)]
    threads = [threading.Thread(target=lambda e=e: answers.append(body(ask(client, e)))) for e in events]
    for thread in threads:
        thread.start()
    for number in range(3):
        wait_for(root / f"efs/busy-{number}")
    (root / "efs/go").touch()
    for thread in threads:
        thread.join()
    pids = {answer["pid"] for answer in answers}
    assert len(pids) == 3
    again = body(ask(client))
    assert again["pid"] in pids and again["calls"] == 2


def test_more_requests_than_the_reserved_concurrency_are_throttled(gateway, root):
    client, _ = gateway(declare(writes=True, max_instances=1))
    first = threading.Thread(target=ask, args=(client, {"touch": "busy", "until": str(root / "efs/go")}))
    first.start()
    wait_for(root / "efs/busy")
    error = refused(client)
    assert error["Error"]["Code"] == "TooManyRequestsException"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert error["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    (root / "efs/go").touch()
    first.join()
    assert body(ask(client))["calls"] == 2


def test_no_reserved_concurrency_means_no_request_at_all(gateway):
    client, _ = gateway(declare(max_instances=0))
    assert refused(client)["Error"]["Code"] == "TooManyRequestsException"


@pytest.mark.parametrize(("reserved", "told"), [(None, None), (0, 0), (3, 3)])
def test_the_reserved_concurrency_can_be_asked_for(gateway, reserved, told):
    function = declare(max_instances=reserved)
    client, _ = gateway(function)
    answer = client.get_function_concurrency(FunctionName=function.arn)
    assert answer.get("ReservedConcurrentExecutions") == told


def test_a_function_killed_in_mid_request_fails_that_request_and_the_next_is_served(gateway, root):
    client, _ = gateway(declare(writes=True))
    pid = body(ask(client))["pid"]
    answers = []
    event = {"touch": "busy", "until": str(root / "efs/never")}
    thread = threading.Thread(target=lambda: answers.append(ask(client, event)))
    thread.start()
    wait_for(root / "efs/busy")
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert answers[0]["FunctionError"] == "Unhandled"
    assert body(answers[0])["errorType"] == "Runtime.ExitError"
    after = body(ask(client))
    assert after["pid"] != pid and after["calls"] == 1


def test_an_idle_instance_is_ended_after_a_while(gateway, root):
    client, _ = gateway(idle_s=0.05)
    pid = body(ask(client))["pid"]
    wait_until(lambda: not any((root / "state/run").iterdir()))
    assert body(ask(client))["pid"] != pid


def test_an_event_is_accepted_at_once_and_run(gateway, root):
    client, _ = gateway(declare(writes=True))
    answer = ask(client, {"touch": "done"}, InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    wait_for(root / "efs/done")


@pytest.mark.parametrize(("retries", "runs"), [(0, 1), (2, 3)])
def test_a_failed_event_is_tried_again_as_often_as_the_program_says(gateway, root, retries, runs):
    client, _ = gateway(declare(retries=retries), retry_delays_s=(0.01, 0.01))
    ask(client, {"raise": "no"}, InvocationType="Event")
    log = root / "state/logs/probe.log"
    wait_until(lambda: log.exists() and log.read_text().count("REPORT RequestId") == runs)
    ask(client)
    assert log.read_text().count("asked ['raise']") == runs


def test_an_event_waits_for_an_instance_rather_than_being_throttled(gateway, root):
    client, _ = gateway(declare(writes=True, max_instances=1))
    first = threading.Thread(target=ask, args=(client, {"touch": "busy", "until": str(root / "efs/go")}))
    first.start()
    wait_for(root / "efs/busy")
    ask(client, {"touch": "later"}, InvocationType="Event")
    (root / "efs/go").touch()
    first.join()
    wait_for(root / "efs/later")


def test_an_instance_that_does_not_start_is_a_service_error(gateway, emulators, tmp_path):
    (tmp_path / "false").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "false").chmod(0o755)
    made = Gateway((declare(),), replace(emulators, binary=tmp_path / "false"))
    with serve(made) as url:
        client = gateway_client(url, "us-east-1", retries=ONCE)
        error = refused(client)
        client.close()
    assert error["Error"]["Code"] == "ServiceException"
    assert "did not start" in error["Error"]["Message"]


def test_functions_can_be_listed_and_described(gateway):
    client, _ = gateway(declare(), declare("other"))
    names = [each["FunctionName"] for each in client.list_functions()["Functions"]]
    assert names == ["probe-1a2b3c4", "other-1a2b3c4"]
    found = client.get_function(FunctionName="probe-1a2b3c4")["Configuration"]
    assert (found["MemorySize"], found["Timeout"], found["PackageType"]) == (512, 30, "Image")
    assert client.get_function_configuration(FunctionName="probe-1a2b3c4")["FunctionArn"] == declare().arn


def test_other_operations_are_refused_by_name(gateway):
    client, _ = gateway()
    with pytest.raises(ClientError, match="is not served here"):
        client.list_layers()
    with pytest.raises(ClientError, match=r"DELETE .* is not served here"):
        client.delete_function(FunctionName="probe-1a2b3c4")


def test_the_port_that_is_asked_for_is_taken_if_it_is_free(emulators):
    with serve(Gateway((), emulators)) as first:
        port = int(first.rpartition(":")[2])
        with serve(Gateway((), emulators), port=port) as other:
            assert other != first
    with serve(Gateway((), emulators), port=port) as again:
        assert again == first


def test_closing_ends_the_instances_that_are_busy_too(gateway, emulators, root):
    made = Gateway((declare(writes=True),), emulators)
    with serve(made) as url:
        host = url.removeprefix("http://")
        connection = http.client.HTTPConnection(host)
        event = json.dumps({"touch": "busy", "until": str(root / "efs/never")})
        connection.request("POST", "/2015-03-31/functions/probe-1a2b3c4/invocations", event)
        wait_for(root / "efs/busy")
    connection.close()
    assert list((root / "state/run").iterdir()) == []


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


OPEN, SIGNED = FunctionUrl(needs_signature=False), FunctionUrl(needs_signature=True)


def open_url(url, data=None, kind="", method=None, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"Content-Type": kind} if kind else {}
    request = urllib.request.Request(url, data, given, method=method)
    try:
        with contextlib.closing(urllib.request.urlopen(request)) as answer:
            return answer.status, answer.read(), lowered(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), lowered(error.headers)


def test_a_function_url_hands_over_a_version_2_event(gateway):
    _, url = gateway(declare(url=OPEN))
    url = f"{url}/urls/probe/some/path?a=1&a=2&b="
    status, answer, _ = open_url(url, b'{"text": "hi"}', "application/json")
    event = json.loads(answer)["event"]
    assert status == 200
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "/some/path",
        "a=1&a=2&b=",
    )
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert (event["body"], event["isBase64Encoded"]) == ('{"text": "hi"}', False)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["headers"]["content-type"] == "application/json"


def test_a_function_url_hands_over_other_bodies_in_base64(gateway):
    _, url = gateway(declare(url=OPEN))
    _, answer, _ = open_url(f"{url}/urls/probe/", b"\xff\x00", "image/png")
    event = json.loads(answer)["event"]
    assert event["isBase64Encoded"] and base64.b64decode(event["body"]) == b"\xff\x00"


def test_a_function_url_sends_what_the_function_says(gateway, root):
    (root / "inference/says.py").write_text(
        "def handler(event, context):\n"
        "    return {'statusCode': 418, 'headers': {'X-Kind': 'tea'},\n"
        "            'body': 'aGk=', 'isBase64Encoded': True}\n"
    )
    _, url = gateway(declare(url=OPEN, command="says.handler"))
    status, answer, headers = open_url(f"{url}/urls/probe/")
    assert (status, answer, headers["x-kind"]) == (418, b"hi", "tea")


def test_a_function_url_hides_errors_of_the_function(gateway, root):
    (root / "inference/bad.py").write_text("def handler(event, context):\n    raise ValueError('secret')\n")
    _, url = gateway(declare(url=OPEN, command="bad.handler"))
    status, answer, _ = open_url(f"{url}/urls/probe/")
    assert (status, answer) == (502, b'{"Message":"Internal Server Error"}')


SIGNATURE = "AWS4-HMAC-SHA256 Credential=x/20261127/us-east-1/lambda/aws4_request, Signature=0"


def test_a_url_for_signed_requests_refuses_the_others_before_the_function_sees_them(gateway, root):
    _, url = gateway(declare(url=SIGNED))
    for method in ("GET", "POST", "OPTIONS"):
        status, answer, _ = open_url(f"{url}/urls/probe/", method=method)
        assert (status, answer) == (403, b'{"Message":"Forbidden"}')
    assert not (root / "state/logs/probe.log").exists()
    assert open_url(f"{url}/urls/probe/", authorization=SIGNATURE)[0] == 200
    assert open_url(f"{url}/urls/probe/?X-Amz-Signature=0")[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_every_method_reaches_the_function(gateway, root, method):
    _, url = gateway(declare(url=OPEN, command="method.handler"))
    (root / "inference/method.py").write_text(
        "def handler(event, context):\n"
        "    return {'statusCode': 200, 'headers': {'x-method': event['requestContext']['http']['method']}}\n"
    )
    status, _, headers = open_url(f"{url}/urls/probe/", method=method)
    assert (status, headers["x-method"]) == (200, method)


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_a_header_of_the_function_replaces_the_default_whatever_its_case(gateway, root, name):
    says = {"statusCode": 200, "headers": {name: "text/x", "Content-Length": "99"}, "body": "x"}
    (root / "inference/says.py").write_text(f"def handler(event, context):\n    return {says}\n")
    _, url = gateway(declare(url=OPEN, command="says.handler"))
    host = url.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(host)) as connection:
        connection.request("GET", "/urls/probe/")
        answer = connection.getresponse()
        assert answer.read() == b"x"
        assert answer.headers.get_all("content-type") == ["text/x"]
        assert answer.headers.get_all("content-length") == ["1"]


@pytest.mark.parametrize(
    "answer",
    [
        "{'statusCode': 'no'}",
        "{'statusCode': 42}",
        "{'statusCode': 200, 'headers': {'x': 'a\\r\\nb: c'}}",
        "{'statusCode': 200, 'headers': [1]}",
        "{'statusCode': 200, 'isBase64Encoded': True, 'body': 'x'}",
    ],
)
def test_an_answer_that_cannot_be_sent_is_a_bad_gateway(gateway, root, answer):
    (root / "inference/says.py").write_text(f"def handler(event, context):\n    return {answer}\n")
    _, url = gateway(declare(url=OPEN, command="says.handler"))
    assert open_url(f"{url}/urls/probe/")[:2] == (502, b'{"Message":"Internal Server Error"}')


def test_a_chunked_body_arrives_whole_and_the_connection_lives_on(gateway):
    _, url = gateway(declare(url=OPEN))
    host = url.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(host)) as connection:
        for parts in ([b'{"te', b'xt": ', b'"hi"}'], [b'{"text": "again"}']):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/urls/probe/", iter(parts), headers, encode_chunked=True)
            event = json.loads(connection.getresponse().read())["event"]
            assert event["body"] == b"".join(parts).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: x\r\n\r\n",
    ],
)
def test_a_body_whose_end_cannot_be_told_is_refused(gateway, body):
    _, url = gateway(declare(url=OPEN))
    address = url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(b"POST /urls/probe/ HTTP/1.1\r\nHost: x\r\n" + body)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ") and b"not well formed" in answer


@pytest.mark.parametrize(
    ("body", "kind", "encoding"),
    [
        (gzip.compress(b'{"text": "hi"}', mtime=0), "application/json", "gzip"),
        (b"\xff\xfe", "application/json", ""),
        (b"plain", "", ""),
    ],
)
def test_a_body_that_is_no_text_goes_in_base64_whatever_its_type_says(gateway, body, kind, encoding):
    _, url = gateway(declare(url=OPEN))
    headers = {"content_encoding": encoding} if encoding else {}
    _, answer, _ = open_url(f"{url}/urls/probe/", body, kind or "image/png", **headers)
    event = json.loads(answer)["event"]
    assert event["isBase64Encoded"] and base64.b64decode(event["body"]) == body


def test_cookies_are_a_field_of_their_own(gateway):
    _, url = gateway(declare(url=OPEN))
    event = json.loads(open_url(f"{url}/urls/probe/", cookie="a=1; b=2")[1])["event"]
    assert event["cookies"] == ["a=1", "b=2"] and "cookie" not in event["headers"]


CORS = Cors(("https://here.example",), ("POST",), ("content-type",), ("x-kind",), 60)
ASKS = {"access_control_request_method": "POST"}


def test_without_cors_a_preflight_is_a_request_like_any_other(gateway):
    _, url = gateway(declare(url=OPEN))
    status, answer, _ = open_url(f"{url}/urls/probe/", method="OPTIONS", origin="https://x", **ASKS)
    assert status == 200 and json.loads(answer)["event"]["requestContext"]["http"]["method"] == "OPTIONS"


def test_with_cors_a_preflight_is_answered_without_the_function(gateway, root):
    _, url = gateway(declare(url=replace(SIGNED, cors=CORS)))
    status, answer, headers = open_url(
        f"{url}/urls/probe/", method="OPTIONS", origin="https://here.example", **ASKS
    )
    assert (status, answer) == (200, b"")
    assert headers["access-control-allow-origin"] == "https://here.example"
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-allow-headers"] == "content-type"
    assert headers["access-control-max-age"] == "60"
    assert not (root / "state/logs/probe.log").exists()


def test_another_origin_is_allowed_nothing(gateway):
    _, url = gateway(declare(url=replace(OPEN, cors=CORS)))
    for method, asks in (("OPTIONS", ASKS), ("POST", {})):
        _, _, headers = open_url(f"{url}/urls/probe/", method=method, origin="https://x.example", **asks)
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("origins", "credentials", "allowed"),
    [(("*",), False, "*"), (("*",), True, "https://a"), (("https://a", "https://b"), False, "https://a")],
)
def test_answers_name_the_origin_that_may_read_them(gateway, origins, credentials, allowed):
    _, url = gateway(declare(url=replace(OPEN, cors=Cors(origins, ("*",), credentials=credentials))))
    _, _, headers = open_url(f"{url}/urls/probe/", b"{}", "application/json", origin="https://a")
    assert headers["access-control-allow-origin"] == allowed
    assert headers.get("access-control-allow-credentials") == ("true" if credentials else None)


def test_an_endpoint_has_an_address_here_even_where_it_has_none_on_aws(gateway):
    _, url = gateway(declare(), declare("warmup", command=WARMUP_COMMAND))
    assert open_url(f"{url}/urls/probe/")[0] == 200
    for name in ("nope", "warmup"):
        status, answer, _ = open_url(f"{url}/urls/{name}/")
        assert status == 404
        assert json.loads(answer)["Message"] == f"No endpoint is called {name!r}; there are: probe"


def wait_until(holds):
    deadline = time.monotonic() + 20
    pause = threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail("did not happen within 20 s")
        pause.wait(0.01)
