"""Loads other than pipelines: found where they are literal, named where they are not."""

from __future__ import annotations

import pytest
import transformers
from transformers.pipelines import SUPPORTED_TASKS

from discovery import Declared, read_scripts
from hf_lambda import tasks

HANDLER = '\n\ndef handler(event, context):\n    return p(event["text"])\n'


def script(tmp_path, text):
    (tmp_path / "script.py").write_text(text + HANDLER)
    return read_scripts(tmp_path)[0]


def plain(model, revision=None, task="feature-extraction", **others):
    return Declared(task, model, revision, "torch", "auto", plain=True, **others)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            'from huggingface_hub import snapshot_download\np = snapshot_download("o/n")',
            plain("o/n", files=("*",)),
        ),
        (
            'import huggingface_hub as h\np = h.snapshot_download(repo_id="o/n", revision="v1", '
            'allow_patterns=["*.json", "onnx/*"], ignore_patterns="*.md")',
            plain("o/n", "v1", files=("*.json", "onnx/*"), left_out=("*.md",)),
        ),
        ('from huggingface_hub import *\nM = "o/n"\np = snapshot_download(M)', plain("o/n", files=("*",))),
        (
            'from huggingface_hub import HfApi\np = HfApi().snapshot_download("o/n", allow_patterns="x/*")',
            plain("o/n", files=("x/*",)),
        ),
        (
            'from huggingface_hub import hf_hub_download as get\np = get("o/n", "a.onnx", subfolder="onnx")',
            plain("o/n", files=("onnx/a.onnx",)),
        ),
        (
            'from sentence_transformers import SentenceTransformer as S\np = S("o/n", revision="v1")',
            plain("o/n", "v1"),
        ),
        (
            'from sentence_transformers import SentenceTransformer as S\np = S("all-MiniLM-L6-v2")',
            plain("sentence-transformers/all-MiniLM-L6-v2"),
        ),
        (
            'import sentence_transformers\np = sentence_transformers.CrossEncoder("ms-marco")',
            plain("cross-encoder/ms-marco", task="text-classification"),
        ),
        ("from transformers import *\np = AutoModel.from_pretrained('o/n')", plain("o/n")),
        (
            "from transformers import *\np = BertForMaskedLM.from_pretrained('o/n')",
            plain("o/n", task="fill-mask"),
        ),
        (
            "from transformers import *\nfrom json import *\np = pipeline('ner', 'o/n')",
            plain("o/n", task="token-classification"),
        ),
        (
            "from json import loads\nfrom hf_lambda import *\np = pipeline('ner', 'o/n')",
            Declared("token-classification", "o/n", None),
        ),
    ],
)
def test_a_literal_load_is_found(tmp_path, text, found):
    assert script(tmp_path, text).pipelines == (found,)
    assert script(tmp_path, text).unseen == ()


@pytest.mark.parametrize(
    "text",
    [
        "from transformers import *\ndef pipeline(*a): return a[0]\np = pipeline('ner', 'o/n')",
        "from transformers import *\nclass AutoModel: ...\np = AutoModel()",
        "from other import *\np = pipeline('ner', 'o/n')",
        "from huggingface_hub import snapshot_download\np = snapshot_download('./folder')",
        "from sentence_transformers import SentenceTransformer\np = SentenceTransformer('/opt/m')",
        "from sentence_transformers import SentenceTransformer\np = SentenceTransformer(modules=[])",
    ],
)
def test_what_is_no_load_of_the_hub_declares_nothing(tmp_path, text):
    assert script(tmp_path, text).pipelines == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from huggingface_hub import snapshot_download\np = snapshot_download(name())", "snapshot_download"),
        ("from huggingface_hub import hf_hub_download\np = hf_hub_download(*x)", "hf_hub_download"),
        (
            "import huggingface_hub\np = huggingface_hub.snapshot_download('o/n', repo_type='dataset')",
            "dataset",
        ),
        ("from sentence_transformers import SentenceTransformer as S\np = S(f'{x}')", "SentenceTransformer"),
        ("import spacy\np = spacy.load('en')", "spacy may load"),
        (
            "from diffusers import DiffusionPipeline\np = DiffusionPipeline.from_pretrained('o/n')",
            "diffusers",
        ),
        ("from other import Model\np = Model.from_pretrained('o/n')", "Model.from_pretrained('o/n')"),
        ("import importlib\np = importlib.import_module('transformers')", "importlib.import_module"),
        ("import torch\np = torch.hub.load('a/b', 'c')", "torch.hub.load"),
        ("exec('p = 1')", "exec"),
        (
            "import transformers\np = getattr(transformers, x).from_pretrained('o/n')",
            "getattr(transformers, x)",
        ),
        (
            "from transformers import pipeline\nmake = pipeline\np = make('ner', 'o/n')",
            "`pipeline` is handed on",
        ),
        ("from hf_lambda import pipeline\np = list(map(pipeline, ['ner']))", "`pipeline` is handed on"),
        (
            "from transformers import AutoModel\np = [f('o/n') for f in (AutoModel.from_pretrained,)]",
            "`AutoModel.from_pretrained` is handed on",
        ),
    ],
)
def test_a_load_that_cannot_be_read_is_named_with_its_line(tmp_path, text, said):
    (note, *_) = script(tmp_path, text).unseen
    assert note.startswith(f"{tmp_path.name}/script.py:") and said in note


def test_the_note_of_a_shared_module_names_that_module(tmp_path):
    (tmp_path / "_shared.py").write_text("import spacy\n")
    assert script(tmp_path, "from _shared import p").unseen[0].startswith(f"{tmp_path.name}/_shared.py:1: ")


@pytest.mark.parametrize(
    "text",
    [
        "import json, numpy, torch, PIL.Image\np = json.loads",
        "import importlib\np = importlib.import_module('json')",
        "from transformers import AutoModel, pipeline\np: AutoModel = pipeline('ner', 'o/n')",
        "from sentence_transformers import SentenceTransformer as S\np = isinstance(3, S)",
        "from hf_lambda import endpoint, pipeline\np = pipeline('ner', 'o/n')",
    ],
)
def test_an_ordinary_script_has_nothing_unseen(tmp_path, text):
    assert script(tmp_path, text).unseen == ()


def test_every_class_of_a_task_tells_that_task(tmp_path):
    several = {"AutoModel", "AutoModelForMultimodalLM", "AutoModelForDecision"}  # of no task of their own
    known: dict[str, set[str]] = {}
    for task, about in SUPPORTED_TASKS.items():
        for each in about["pt"]:
            known.setdefault(each.__name__, set()).add(task)
    assert len(known) > 20 and all(hasattr(transformers, name) for name in known)
    for name, allowed in known.items():
        if name not in several:
            (found,) = script(
                tmp_path, f"import transformers as t\np = t.{name}.from_pretrained('o/n')"
            ).pipelines
            assert found.task in {tasks.ALIASES.get(task, task) for task in allowed}, name


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        ('return p(event["text"])', True),
        ('return {"statusCode": 200, "body": p(event["text"])}', True),
        ('return p(event["body"])', False),
        ('return p(json.loads(event.get("body") or "{}"))', False),
    ],
)
def test_a_plain_handler_that_reads_no_body_takes_the_raw_request(tmp_path, body, raw):
    (tmp_path / "script.py").write_text(
        f"import json\np = str\n\n\ndef handler(event, context):\n    {body}\n"
    )
    assert read_scripts(tmp_path)[0].takes_raw_http is raw


def test_an_endpoint_never_takes_the_raw_request(tmp_path):
    text = "from hf_lambda import endpoint\n\n\n@endpoint\ndef handler(text: str):\n    return text\n"
    (tmp_path / "script.py").write_text(text)
    assert not read_scripts(tmp_path)[0].takes_raw_http


SLIM = 'from hf_lambda import endpoint, pipeline\np = pipeline("ner", "o/n", engine="onnx")\n'


@pytest.mark.parametrize(
    ("imports", "beyond"),
    [
        ("import json, numpy", ()),
        ("from PIL import Image", ()),
        ("import rapidfuzz.fuzz", ("rapidfuzz",)),
        ("import torch", ("torch",)),
        ("def later():\n    from cv2 import imread", ("cv2",)),
        ("from _shared import p as q", ("sklearn",)),
    ],
)
def test_what_the_slim_image_does_not_have_takes_the_full_one(tmp_path, imports, beyond):
    (tmp_path / "_shared.py").write_text("import sklearn\np = 1\n")
    found = script(tmp_path, f"{imports}\n{SLIM}")
    assert (found.beyond_slim, found.image) == (beyond, "full" if beyond else "slim")
