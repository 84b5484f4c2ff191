"""Scripts for other servers: what they load from their path is the model that they name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discovery import Declared, ScriptError, read_scripts

NAMED = 'HF_MODEL_ID = "org/name"\nHF_MODEL_REVISION = "v1"\n'
CLASS = """
class EndpointHandler:
    def __init__(self, path=""):
        {}

    def __call__(self, data):
        return self.model(data["inputs"]){}
"""
FUNCTIONS = """
def model_fn(model_dir):
    {}

def predict_fn(data, model):
    return model(data["inputs"])
"""
PLAIN = Declared("feature-extraction", "org/name", "v1", "torch", plain=True)
WHOLE = replace(PLAIN, files=("*",))


def script(folder: Path, text: str) -> Any:
    (folder / "custom.py").write_text(text)
    return read_scripts(folder)[0]


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ScriptError) as refused:
        script(folder, text)
    return refused.value.problems


@pytest.mark.parametrize(
    ("loads", "found"),
    [
        (
            'self.model = transformers.pipeline("text-classification", model={0}, tokenizer={0})',
            (replace(PLAIN, task="text-classification"),),
        ),
        (
            'self.model = transformers.pipeline("ner", {0})',
            (replace(PLAIN, task="token-classification"),),
        ),
        ("self.model = transformers.AutoModel.from_pretrained({0})", (PLAIN,)),
        (
            "self.model = transformers.AutoModelForMaskedLM.from_pretrained(str({0}), torch_dtype='auto')",
            (replace(PLAIN, task="fill-mask"),),
        ),
        ("self.model = sentence_transformers.SentenceTransformer({0})", (PLAIN,)),
        ("folder = {0}; self.model = transformers.AutoModel.from_pretrained(folder or '.')", (PLAIN,)),
        ("self.model = torch.load(os.path.join({0}, 'model.pt'))", (WHOLE,)),
        ("self.model = transformers.AutoModel.from_pretrained(os.path.join({0}, 'encoder'))", (WHOLE,)),
        ("self.model = transformers.AutoModel.from_pretrained(f'{{{0}}}/encoder')", (WHOLE,)),
        ("self.model = Own.from_pretrained({0})", (WHOLE,)),
        ("self.model = print", (WHOLE,)),  # the server makes it with the folder all the same
        (
            "self.model = transformers.AutoModel.from_pretrained({0}), open({0} + '/labels.txt')",
            (PLAIN, WHOLE),
        ),
        (
            "self.model = transformers.AutoTokenizer.from_pretrained({0}), "
            "transformers.AutoModel.from_pretrained({0} + '/encoder')",
            (PLAIN, WHOLE),
        ),
    ],
)
@pytest.mark.parametrize("form", ["class", "functions"])
def test_a_load_from_the_path_is_one_of_the_named_model(
    folder: Path, form: str, loads: str, found: tuple[Declared, ...]
) -> None:
    imports = "import os\nimport sentence_transformers\nimport torch\nimport transformers\n"
    if form == "class":
        text = CLASS.format(loads.format("path"), "")
    else:
        text = FUNCTIONS.format(loads.format("model_dir").replace("self.model = ", "return "))
    read = script(folder, imports + NAMED + text)
    assert (read.pipelines, read.unseen) == (found, ())
    assert (read.image, read.checks_keys, read.takes_raw_http, read.streams) == ("full", True, False, False)


def test_the_path_is_followed_into_attributes_and_other_methods(folder: Path) -> None:
    later = "\n\n    def load(self):\n        return AutoModelForMaskedLM.from_pretrained(self.path)\n"
    text = "from transformers import AutoModelForMaskedLM\n" + NAMED + CLASS.format("self.path = path", later)
    assert script(folder, text).pipelines == (replace(PLAIN, task="fill-mask"),)


def test_the_default_of_the_path_names_the_model_too(folder: Path) -> None:
    text = "from transformers import AutoModel\n" + CLASS.format("AutoModel.from_pretrained(path)", "")
    read = script(folder, text.replace('path=""', 'path="org/name"'))
    assert read.pipelines == (replace(PLAIN, revision=None),)


def test_what_it_loads_by_name_is_read_as_in_every_plain_script(folder: Path) -> None:
    loads = "self.model = transformers.pipeline('ner', model='org/other', revision='v2')"
    found = script(folder, "import transformers\n" + CLASS.format(loads, "")).pipelines
    assert found == (Declared("token-classification", "org/other", "v2", "torch", plain=True),)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (
            "import transformers as t\n" + FUNCTIONS.format("return t.AutoModel.from_pretrained(model_dir)"),
            4,
            "`model_dir` is the folder of a model that the script does not name: write HF_MODEL_ID = "
            '"org/name" and HF_MODEL_REVISION = "<commit>" above it',
        ),
        (
            "import os\nHF_MODEL_ID = os.environ['ID']\n" + CLASS.format("open(path)", ""),
            2,
            "`HF_MODEL_ID = os.environ['ID']` is not known before the script runs: "
            'write HF_MODEL_ID = "org/name"',
        ),
        ('HF_MODEL_ID = "a/b/c"\n' + CLASS.format("open(path)", ""), 1, "is not a Hub repository"),
        ("class EndpointHandler:\n    pass\n", 1, "write `def __call__(self, data): ...` in it"),
        (CLASS.format("pass", "").replace("def __call__", "async def __call__"), 6, "without async"),
        ("def predict_fn(data, model):\n    return 1\n", 1, "write `def model_fn(model_dir): ...`"),
        (FUNCTIONS.format("pass").replace("data, model", "data"), 5, "write `def predict_fn(data, model)`"),
        (
            FUNCTIONS.format("pass").replace("def predict", "async def predict"),
            5,
            "`def predict_fn`, without",
        ),
        (
            FUNCTIONS.format("pass")
            + "\ndef transform_fn(model, body, content_type, accept):\n    return body\n",
            8,
            "transform_fn stands for predict_fn: write it alone, or these",
        ),
    ],
)
def test_what_is_missing_is_said_with_what_to_write(folder: Path, text: str, line: int, says: str) -> None:
    (problem,) = problems(folder, text)
    assert problem.startswith(f"inference/custom.py:{line}: ")
    assert says in problem


def test_a_script_with_a_handler_of_its_own_is_that(folder: Path) -> None:
    text = CLASS.format("open(path)", "") + "\ndef handler(event, context):\n    return event['text']\n"
    read = script(folder, text)
    assert (read.pipelines, read.takes_raw_http, read.checks_keys) == ((), True, False)
    assert list(read.example) == ["text"]


@pytest.mark.parametrize(
    ("task", "event"),
    [
        ("text-classification", {"inputs": str}),
        ("zero-shot-classification", {"inputs": str, "parameters": dict}),
        ("image-classification", {"inputs": str}),
    ],
)
def test_it_is_asked_as_its_own_server_is(folder: Path, task: str, event: dict[str, type]) -> None:
    loads = f'self.model = transformers.pipeline("{task}", model=path)'
    read = script(folder, "import transformers\n" + NAMED + CLASS.format(loads, ""))
    assert {name: type(value) for name, value in read.example.items()} == event
    assert script(folder, 'EXAMPLE = {"inputs": 3}\n' + NAMED + CLASS.format("pass", "")).example == {
        "inputs": 3
    }
