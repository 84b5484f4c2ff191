"""The page's server over the local stack: who may ask, and what is answered."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from openapi_spec_validator import validate

from local.layout import Folder
from local.playground.on_this_machine import LocalBackend
from local.playground.records import Answered, StackInfo
from local.playground.server import PAGE, SECRET_HEADER
from tests.local.functions_to_run import declare
from tests.local.playground.conftest import SCRIPTS
from warmup.protocol.answers import CacheStatus, ColdModel, WarmedModel
from warmup.protocol.reports import WarmReport


def said(answer):
    return json.loads(answer.text)["error"]["message"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", ""])
@pytest.mark.parametrize("path", ["/", "/api/stack"])
def test_another_host_is_refused_whatever_is_asked(playground, path, host):
    answer = playground.ask("GET", path, host=host)
    assert answer.status == 403
    assert said(answer).startswith(f"Host is {host!r}; this page is served at 127.0.0.1:")


def test_localhost_is_the_same_page(playground):
    assert playground.ask("GET", "/api/cache", host=f"localhost:{playground.server.port}").status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_origin_is_refused_even_with_the_secret(playground, method, origin):
    answer = playground.ask(method, "/api/endpoints/labels/invoke", {"text": "x"}, origin=origin)
    assert answer.status == 403
    assert said(answer) == f"Origin is {origin!r}; requests of other pages are refused"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_the_browser_says_is_another_site_s_is_refused(playground, site):
    assert playground.ask("GET", "/api/stack", sec_fetch_site=site).status == 403


@pytest.mark.parametrize("secret", [None, "", "wrong", "ü"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/stack"),
        ("GET", "/api/cache"),
        ("GET", "/api/endpoints/labels/openapi.json"),
        ("GET", "/api/endpoints/labels/logs"),
        ("POST", "/api/endpoints/labels/invoke"),
        ("POST", "/api/endpoints/words/stream"),
        ("POST", "/api/endpoints/labels/retire"),
        ("GET", "/api/"),
    ],
)
def test_nothing_is_answered_without_the_secret(playground, method, path, secret):
    body: dict[str, object] | None = {} if method == "POST" else None
    answer = playground.ask(method, path, body, **{SECRET_HEADER: secret})
    assert answer.status == 403
    assert "open the address that the command printed" in said(answer)


def test_the_secret_is_long_new_at_every_start_and_in_no_file_of_the_page(playground):
    secret = playground.server.address.partition("#")[2]
    assert len(secret) >= 43
    for path in PAGE.iterdir():
        assert playground.ask("GET", f"/{path.name}").status == 200
        assert secret not in path.read_text()


def test_the_page_loads_nothing_from_elsewhere_and_runs_in_no_frame(playground):
    answer = playground.ask("GET", "/", **{SECRET_HEADER: None})
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/nope", "/../server.py", "/%2e%2e/server.py", "/page/app.js", "//etc/passwd"]
)
def test_only_the_page_s_own_files_are_served(playground, path):
    assert playground.ask("GET", path).status == 404


def test_every_endpoint_is_told_with_its_form_and_its_model(playground):
    stack = StackInfo.from_json(json.loads(playground.ask("GET", "/api/stack").text))
    assert [each.name for each in stack.endpoints] == sorted(SCRIPTS)
    needed = {each.name: each.url_needs for each in stack.endpoints if each.url_needs}
    assert needed == {"names": "signature", "vectors": "key"}
    labels = next(each for each in stack.endpoints if each.name == "labels")
    assert labels.summary == "Which language is it?"
    assert labels.fields["properties"]["kind"] == {"enum": ["plain", "formal"], "default": "plain"}
    assert labels.example == {"text": "Guten Tag"}
    assert (labels.memory_mb, labels.image, labels.streams) == (512, "full", False)
    (model,) = labels.models
    assert (model.repo_id, model.commit) == ("org/name", None)
    assert model.link == "https://huggingface.co/org/name/tree/abc"
    assert model.reason == "not in the cache: run the warm-up"
    assert labels.url == f"{playground.gateway_url}/urls/labels/"


def test_the_cache_is_what_the_warm_up_says_of_it(playground):
    status = CacheStatus.from_json(json.loads(playground.ask("GET", "/api/cache").text))
    assert [(each.repo_id, isinstance(each, ColdModel)) for each in status.models] == [
        ("org/chat", True),
        ("org/name", True),
    ]


def test_an_answer_comes_with_its_cost_and_its_log_first_cold_then_warm_then_cold_again(playground):
    def ask():
        answer = playground.ask("POST", "/api/endpoints/labels/invoke", {"text": "Hi", "top_k": 1})
        return Answered.from_json(json.loads(answer.text))

    playground.ask("POST", "/api/endpoints/labels/retire")
    first, second = ask(), ask()
    assert json.loads(playground.ask("POST", "/api/endpoints/labels/retire").text) == {"retired": 1}
    third = ask()
    assert [each.cost.cold for each in (first, second, third)] == [True, False, True]
    assert first.body == [{"label": "German, plain: Hi", "score": 0.75}]
    assert list(first.cost.phases) == ["start", "import", "load", "infer", "other"]
    assert first.cost.phases["import"] > 0 == second.cost.phases["import"]
    assert first.cost.million_usd > 0.2
    assert any('"event": "request"' in line for line in second.log)
    assert "Hi" not in "".join(first.log)


def test_what_an_endpoint_refuses_keeps_its_status_and_its_words(playground):
    answer = Answered.from_json(
        json.loads(playground.ask("POST", "/api/endpoints/labels/invoke", {"texts": "Hi"}).text)
    )
    assert answer.status == 400
    assert answer.body["error"]["field"] == "text"


def test_a_streamed_answer_comes_in_pieces_and_ends_with_its_cost(playground):
    answer = playground.ask("POST", "/api/endpoints/words/stream", {"prompt": "ä b", "stream": True})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(line.get("piece", "") for line in lines) == '"ä "\n"b "\n'
    assert lines[-1]["end"]["error"] is None
    assert lines[-1]["end"]["cost"]["cold"] is True
    assert any('"event": "request"' in line for line in lines[-1]["end"]["log"])


def test_a_function_that_does_not_load_says_why_streamed_or_not(playground):
    streamed = playground.ask("POST", "/api/endpoints/broken/stream", {"stream": True})
    ended = json.loads(streamed.text.splitlines()[-1])["end"]
    whole = json.loads(playground.ask("POST", "/api/endpoints/broken/invoke", {}).text)
    assert "no_such_package" in ended["error"]
    assert whole["status"] == 500
    assert "no_such_package" in whole["body"]["errorMessage"]


def test_what_is_not_served_is_said(playground):
    assert said(playground.ask("POST", "/api/endpoints/nope/invoke", {})).startswith(
        "No endpoint is called 'nope'"
    )
    assert "is not served here" in said(playground.ask("GET", "/api/nope"))
    streamed = playground.ask("POST", "/api/endpoints/nope/stream", {})
    assert "No endpoint is called 'nope'" in said(streamed)


def test_an_event_that_is_not_json_is_refused(playground):
    answer = playground.ask("POST", "/api/endpoints/labels/invoke", {}, content_type="text/plain")
    assert (answer.status, said(answer)) == (415, "expected content-type: application/json")
    answer = playground.ask("POST", "/api/endpoints/labels/invoke")
    assert answer.status == 400
    assert "the event is not JSON" in said(answer)


def test_logs_are_the_function_s_last_lines(playground):
    playground.ask("POST", "/api/endpoints/names/invoke", {"text": "Ada"})
    lines = json.loads(playground.ask("GET", "/api/endpoints/names/logs").text)["lines"]
    assert any('"endpoint": "names"' in line for line in lines)


def test_each_openapi_document_is_valid_and_says_where(playground):
    for name in ("labels", "words", "objects"):
        document = json.loads(playground.ask("GET", f"/api/endpoints/{name}/openapi.json").text)
        validate(document)
        assert document["servers"] == [{"url": f"{playground.gateway_url}/urls/{name}"}]


def test_a_script_that_does_not_load_is_named(playground):
    path = playground.folder.root / "inference/half.py"
    path.write_text("def handler(:\n")
    try:
        answer = playground.ask("GET", "/api/stack")
    finally:
        path.unlink()
    assert answer.status == 422
    assert "inference/half.py:1" in said(answer)


def test_models_in_an_image_are_shown_as_the_image_has_them(tmp_path):
    folder, built = Folder(tmp_path / ".local", tmp_path), {"ENDPOINT": "labels"}
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference/labels.py").write_text(SCRIPTS["labels"])
    gateway = SimpleNamespace(functions={"labels": replace(declare("labels"), image_args=built)})
    backend = LocalBackend(gateway, folder, "http://127.0.0.1:9")  # type: ignore[arg-type]
    assert backend.cache().models == (ColdModel("org/name", "abc"),)
    made = WarmedModel("org/name", "abc", "c" * 40, 7, (), (), 2)
    folder.image_report("labels").write_text(json.dumps(WarmReport("image", warmup=(made,)).to_json()))
    assert backend.cache().models == (made,)
