"""Plain scripts whose model was refused: what they answer is the endpoint's own sentence, not a library's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_lambda import runtime
from hf_lambda.errors import BadRequest, ColdCache
from hf_lambda.manifest import read_manifest, refusal_path
from hf_lambda.refused import naming_refusals

ROOT = Path(__file__).parents[2]
AT_IMPORT = {
    "by_pipeline": "from transformers import pipeline\npipeline('text-classification', model='org/bad')",
    "by_keyword": "import transformers as t\nt.pipeline(task='ner', model='org/bad', revision='v1')",
    "by_class": "import transformers\ntransformers.AutoModel.from_pretrained('org/bad', revision='v1')",
    "by_tokenizer": "import transformers\ntransformers.AutoTokenizer.from_pretrained('org/bad')",
    "by_download": "import huggingface_hub as h\nh.hf_hub_download('org/bad', 'config.json', revision='v1')",
    "caught": "import transformers as t\ntry:\n t.AutoModel.from_pretrained('org/bad')\n"
    "except OSError as e:\n raise RuntimeError('no model') from e",
}
OTHERS = {
    "of_another": "from transformers import pipeline\npipeline('text-classification', model='org/other')",
    "at_another": "import transformers as t\nt.AutoModel.from_pretrained('org/bad', revision='v2')",
    "its_own": "model = 'org/bad'\nraise ValueError(model)",
}
IN_A_REQUEST = """
import transformers
def handler(event, context):
    return transformers.pipeline("text-classification", model=event["model"])
"""
PROGRAM = """
import json, sys
from awslambdaric import bootstrap
from hf_lambda.refused import naming_refusals
get, said = naming_refusals(bootstrap._get_handler), {}
def asked(name, ask):
    try:
        ask()
    except Exception as error:
        said[name] = [type(error).__name__, str(error)]
for name in json.loads(sys.argv[1]):
    asked(name, lambda: get(name + ".handler"))
handler = get("in_a_request.handler")
asked("in a request", lambda: handler({"model": "org/bad"}, None))
asked("in another request", lambda: handler({"model": "org/other"}, None))
asked("in a bad request", lambda: handler({}, None))
print(json.dumps(said))
"""


@pytest.mark.slow
def test_it_names_the_refusal_wherever_the_script_loads_the_model(tmp_path: Path) -> None:
    cache, scripts = tmp_path / "cache", tmp_path / "scripts"
    for revision in (None, "v1"):
        _refuse(cache, revision)
    scripts.mkdir()
    for name, script in {**AT_IMPORT, **OTHERS, "in_a_request": IN_A_REQUEST}.items():
        (scripts / f"{name}.py").write_text(script)
    variables = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{scripts}",
        "MODEL_CACHE": str(cache),
        "HF_HUB_CACHE": str(cache / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps([*AT_IMPORT, *OTHERS])]
    done = subprocess.run(
        command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    for name, script in AT_IMPORT.items():
        with pytest.raises(ColdCache) as endpoint:
            read_manifest(cache, "org/bad", "v1" if "v1" in script else None)
        assert said[name] == ["ColdCache", str(endpoint.value)], name
    assert said["in a request"] == [
        "ColdCache",
        "org/bad at main was refused by the warm-up: org/bad is an adapter",
    ]
    for name in (*OTHERS, "in another request", "in a bad request"):
        assert said[name][0] != "ColdCache", name


def test_an_answer_other_than_200_stays_what_it_is(tmp_path: Path) -> None:
    _refuse(tmp_path, None)

    def handler(event: object, context: object) -> None:
        raise BadRequest("text", "a text", "nothing")

    with pytest.raises(BadRequest):
        naming_refusals(lambda name: handler, {"MODEL_CACHE": str(tmp_path)})("a.handler")({}, None)


def test_the_runtime_looks_for_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    from awslambdaric import bootstrap

    looking = lambda get_handler: lambda name: lambda *_: f"looked at {name}"  # noqa: E731
    monkeypatch.setattr(runtime, "naming_refusals", looking)
    monkeypatch.setattr(bootstrap, "_get_handler", bootstrap._get_handler)
    monkeypatch.setattr(bootstrap, "log_error", bootstrap.log_error)
    monkeypatch.setattr(bootstrap, "run", lambda *_: None)
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
    runtime.main(["runtime", "script.handler"])
    assert bootstrap._get_handler("script.handler")({}, None) == "looked at script.handler"


def _refuse(cache: Path, revision: str | None) -> None:
    path = refusal_path(cache, "org/bad", revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"reason": "org/bad is an adapter"}))
