"""Scripts for other servers, found by the runtime and asked as Lambda asks: JSON, files, faults."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_exception import FaultException
from PIL import Image

from hf_lambda import cold, runtime
from hf_lambda.api_keys import API_KEYS
from hf_lambda.manifest import Manifest, read_manifest

ENDPOINT = """
import pathlib
HF_MODEL_ID = "org/name"

class EndpointHandler:
    def __init__(self, path=""):
        self.config = pathlib.Path(path, "config.json").read_text()

    def __call__(self, data):
        if data["inputs"] == "fail":
            raise ValueError("what the caller sent")
        if data["inputs"] == "config":
            return self.config
        return [{"type": type(data["inputs"]).__name__, "parameters": data.get("parameters")}]
"""
SAGEMAKER = """
import pathlib
HF_MODEL_ID = "org/name"

def model_fn(model_dir, context):
    return pathlib.Path(model_dir, "config.json").read_text()

def input_fn(body, content_type):
    return body, content_type

def predict_fn(data, model):
    return {"body": str(data[0]), "content_type": data[1], "model": model}
"""
Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """The handler that the runtime finds in a script."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
    for name in ("_get_handler", "log_error"):
        monkeypatch.setattr(bootstrap, name, getattr(bootstrap, name))  # put back what the runtime changes
    monkeypatch.setattr(bootstrap, "run", lambda *_: None)
    runtime.main(["runtime", "custom_script.handler"])

    def found(text: str) -> Any:
        (folder / "custom_script.py").write_text(text)
        monkeypatch.delitem(sys.modules, "custom_script", raising=False)
        return bootstrap._get_handler("custom_script.handler")

    return found


@pytest.fixture
def snapshot(warm: Load, tmp_path: Path) -> Path:
    """org/name in the cache."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("the configuration")
    warm(folder)
    return folder


def over_http(body: bytes | str, content_type: str | None = None, **others: Any) -> dict[str, Any]:
    headers = {"content-type": content_type} if content_type else {}
    is_binary = isinstance(body, bytes)
    text = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    context = {"http": {"method": "POST", "path": "/"}}
    return {
        "version": "2.0",
        "requestContext": context,
        "headers": {**headers, **others.pop("headers", {})},
        "body": text,
        "isBase64Encoded": is_binary,
        **others,
    }


def picture() -> bytes:
    with BytesIO() as file:
        Image.new("RGB", (2, 2)).save(file, "PNG")
        return file.getvalue()


@pytest.mark.usefixtures("snapshot")
def test_the_class_is_made_with_the_folder_of_its_model(load: Load) -> None:
    assert load(ENDPOINT)({"inputs": "config"}, None) == {"statusCode": 200, "body": "the configuration"}


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize(
    "parameters", ["self, path", "self, path, **options", "self, path='', device='cpu'", "self, *path"]
)
def test_however_it_is_made_the_class_gets_its_path_alone(load: Load, parameters: str) -> None:
    text = (
        f'HF_MODEL_ID = "org/name"\nclass EndpointHandler:\n    def __init__({parameters}):\n'
        "        self.given = {k: str(v) for k, v in locals().items() if k != 'self'}\n"
        "    def __call__(self, data): return self.given\n"
    )
    given = load(text)({"inputs": 1}, None)["body"]
    assert "models--org--name" in given["path"]
    assert set(given.items()) <= {("path", given["path"]), ("options", "{}"), ("device", "cpu")}


@pytest.mark.parametrize(
    ("more", "given"), [("", "none"), (", context", "None"), (", context='own'", "None"), (", *more", "none")]
)
def test_functions_that_take_a_context_get_none(load: Load, more: str, given: str) -> None:
    text = (
        f"def model_fn(model_dir{more}): return str(locals().get('context', 'none'))\n"
        f"def predict_fn(data, model{more}): return [model, str(locals().get('context', 'none'))]\n"
    )
    assert load(text)({"inputs": 1}, None)["body"] == [given, given]


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize(
    ("event", "kind", "parameters"),
    [
        ({"inputs": "text", "parameters": {"top_k": 2}}, "str", {"top_k": 2}),
        (over_http('{"inputs": ["a", "b"]}'), "list", None),
        (
            over_http('{"inputs": "a"}', queryStringParameters={"top_k": "2", "fast": "True", "by": "-1"}),
            "str",
            {"top_k": 2, "fast": True, "by": "-1"},
        ),
        (over_http('{"inputs": "a", "parameters": {}}', queryStringParameters={"top_k": "2"}), "str", {}),
        (over_http(picture(), "image/png"), "Image", None),
        (over_http(b"RIFF....", "audio/wav", queryStringParameters={"top_k": "2"}), "bytes", {"top_k": 2}),
    ],
)
def test_a_request_comes_to_the_class_as_its_server_hands_it_on(
    load: Load, event: dict[str, Any], kind: str, parameters: object
) -> None:
    reply = load(ENDPOINT)(event, None)
    body = json.loads(reply["body"]) if "headers" in reply else reply["body"]
    assert (reply["statusCode"], body) == (200, [{"type": kind, "parameters": parameters}])


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize(
    ("event", "status", "message"),
    [
        ({"text": "a"}, 400, "`inputs`: expected what the model is asked"),
        (over_http("{"), 400, "expected a JSON object as body, given text that is not JSON"),
        (over_http(b"no picture", "image/png"), 422, "image"),
        ({"inputs": "fail"}, 500, "the endpoint failed; its log has this id"),
    ],
)
def test_errors_are_those_of_every_endpoint(
    load: Load, event: dict[str, Any], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = load(ENDPOINT)(event, None)
    assert reply["statusCode"] == status
    assert message in json.dumps(reply)
    assert "what the caller sent" not in json.dumps(reply) + capsys.readouterr().out


@pytest.mark.usefixtures("cache")
def test_a_cold_cache_is_503_until_it_is_warm(load: Load, warm: Load, tmp_path: Path) -> None:
    handler = load(ENDPOINT)
    assert handler({"inputs": "config"}, None)["statusCode"] == 503
    (tmp_path / "later").mkdir()
    (tmp_path / "later/config.json").write_text("later")
    warm(tmp_path / "later")
    assert handler({"inputs": "config"}, None)["body"] == "later"


def test_with_cold_download_the_first_load_fetches_the_model(
    load: Load, cache: Path, warm: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(*given: Any) -> Manifest:
        asked.append(given[:3])
        (cache / "fetched").mkdir()
        (cache / "fetched/config.json").write_text("fetched")
        warm(cache / "fetched")
        return read_manifest(cache, "org/name", None)

    monkeypatch.setattr(cold, "download", download)
    monkeypatch.setenv("COLD_DOWNLOAD", "1")
    assert load(ENDPOINT)({"inputs": "config"}, None)["body"] == "fetched"
    assert asked == [(cache, "org/name", None)]


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize(
    ("event", "given", "content_type"),
    [
        ({"inputs": "a"}, '{"inputs": "a"}', "application/json"),
        (over_http('["a"]'), '["a"]', "application/json"),
        (over_http("a,b\n1,2", "text/csv"), "a,b\n1,2", "text/csv"),
        (over_http(b"\x93NUMPY", "application/x-npy"), str(b"\x93NUMPY"), "application/x-npy"),
        (over_http(b'{"a": 1}', "application/json"), '{"a": 1}', "application/json"),
    ],
)
def test_input_fn_gets_the_body_as_it_came(
    load: Load, event: dict[str, Any], given: str, content_type: str
) -> None:
    reply = load(SAGEMAKER)(event, None)
    body = json.loads(reply["body"]) if "headers" in reply else reply["body"]
    assert body == {"body": given, "content_type": content_type, "model": "the configuration"}


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize("body", ["{", "", '{"a": NaN}'])
def test_a_body_that_is_no_json_never_comes_to_input_fn(load: Load, body: str) -> None:
    assert load(SAGEMAKER)(over_http(body), None)["statusCode"] == 400


@pytest.mark.usefixtures("snapshot")
def test_without_input_and_predict_functions_the_model_is_called_as_a_pipeline(load: Load) -> None:
    text = "def model_fn(model_dir):\n    return lambda inputs, **options: [inputs, options]\n"
    handler = load(text)
    assert handler({"inputs": "a", "parameters": {"k": 1}}, None)["body"] == ["a", {"k": 1}]
    assert handler(over_http(b"RIFF....", "audio/wav"), None)["statusCode"] == 500  # bytes are no JSON


@pytest.mark.parametrize(
    ("made", "accept", "headers", "body"),
    [
        ("'{\"a\": 1}'", None, "application/json", '{"a":1}'),
        ("{'a': 1}", "*/*", "application/json", '{"a":1}'),
        ("'a,b'", "text/csv", "text/csv", "a,b"),
        ("(b'<a/>', 'text/xml')", None, "text/xml", "<a/>"),
    ],
)
def test_output_fn_says_what_is_sent(
    load: Load, made: str, accept: str | None, headers: str, body: str
) -> None:
    text = "def model_fn(model_dir): return 1\ndef predict_fn(data, model): return 2\n" + (
        f"def output_fn(prediction, accept): return {made}\n"
    )
    event = over_http('{"inputs": 1}', headers={"accept": accept} if accept else {})
    reply = load(text)(event, None)
    assert (reply["statusCode"], reply["headers"]["content-type"], reply["body"]) == (200, headers, body)
    alone = f"def model_fn(model_dir): return 1\ndef transform_fn(m, body, kind, accept): return {made}\n"
    assert load(alone)(event, None) == reply


def test_bytes_that_are_no_text_are_406(load: Load) -> None:
    text = "def model_fn(d): return 1\ndef transform_fn(m, body, kind, accept): return b'\\xff'\n"
    reply = load(text)(over_http("{}", headers={"accept": "application/x-npy"}), None)
    assert (reply["statusCode"], "accept application/json" in reply["body"]) == (406, True)


def test_an_api_key_is_asked_for(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEYS, "0" * 64)
    assert load(ENDPOINT)(over_http('{"inputs": "a"}'), None)["statusCode"] == 401


def test_a_script_that_is_none_of_these_has_no_handler(load: Load) -> None:
    with pytest.raises(FaultException, match="Handler 'handler' missing"):
        load("def predict(event): return event\n")
    own = load("class EndpointHandler: ...\ndef handler(event, context): return 'own'\n")
    assert own({}, None) == "own"
