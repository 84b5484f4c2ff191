"""Scripts read from source: names, handlers, images, and every mistake at once."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from discovery import read_scripts
from discovery.names import IMPORT_NAMES, OWN_PACKAGES, image_modules
from tests.discovery.scripts import HANDLER, IMPORT, ours, problems, script

ROOT = Path(__file__).parents[2]
PLAIN_HANDLER = '\n\ndef handler(event, context):\n    return classify(event["text"])\n'


def test_the_scripts_of_the_repository_are_read():
    sentiment, summarization = read_scripts(ROOT / "inference")
    assert (sentiment.name, sentiment.image, sentiment.example["text"][:6]) == ("sentiment", "slim", "I love")
    assert sentiment.pipelines[0].task == "text-classification"
    assert summarization.pipelines[0].model == "sshleifer/distilbart-cnn-12-6"


def test_the_examples_can_be_copied_in():
    scripts = {one.name: one for one in read_scripts(ROOT / "examples")}
    assert scripts.keys() >= {"translate-en2fr", "embeddings", "zero-shot", "plain-ner", "plain-sentiment"}
    assert scripts["translate-en2fr"].pipelines[0].task == "translation_en_to_fr"
    assert [scripts[name].image for name in ("translate-en2fr", "embeddings", "zero-shot", "rerank")] == [
        "slim"
    ] * 4
    assert scripts["plain-ner"].image == "full"
    assert scripts["plain-ner"].pipelines[0].plain


def test_all_problems_of_all_scripts_come_at_once(folder):
    script(folder, f'{IMPORT}a = pipeline("x")\nb = pipeline("ner", model=a){HANDLER}', "one.py")
    script(folder, "def f(:\n", "two.py")
    script(folder, "x = 1\n", "three.py")
    places = [problem.split(": ")[0] for problem in problems(folder)]
    assert places == [
        "inference/one.py:2", "inference/one.py:3", "inference/three.py:1", "inference/two.py:1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "\ndef lambda_handler(event, context): ...\n",
            "script.py:2: no handler: call lambda_handler `handler`",
        ),
        ("x = 1\n", "no handler: write `@endpoint` and `def handler(text: str): ...`"),
        ("async def handler(event, context): ...\n", "write `def handler`, without async"),
        ("def handler(text): ...\n", "write `@endpoint` in the line above it"),
        ("def handler(a, b, c): ...\n", "write `@endpoint` in the line above it"),
        ("def handler(event, context):\n  x = = 1\n", "script.py:2: invalid syntax"),
        ("x = 1\x00", "null bytes"),
    ],
)
def test_a_script_without_a_usable_handler_is_refused(folder, text, problem):
    script(folder, text)
    assert problem in problems(folder)[0]


@pytest.mark.parametrize(
    "text",
    [
        "def handler(event, context): ...\n",
        "def handler(event, context=None): ...\n",
        "def handler(*given): ...\n",
        "def make(): ...\nhandler = make()\n",
        "from _shared import handler\n",
    ],
)
def test_every_callable_by_that_name_is_a_handler(folder, text):
    assert read_scripts(script(folder, text))[0].pipelines == ()


def test_names_with_hyphens_work_and_shared_code_is_left_out(folder):
    script(folder, PLAIN_HANDLER, "translate-en2fr.py")
    script(folder, "x = 1\n", "_shared.py")
    (folder / "package").mkdir()
    script(folder / "package", "x = 1\n", "module.py")
    assert [one.name for one in read_scripts(folder)] == ["translate-en2fr"]


def test_models_of_shared_code_belong_to_the_scripts_that_import_it(folder):
    shared = (
        "from hf_lambda import pipeline\nimport _more\n"
        'p = pipeline("ner", model="org/shared", engine="onnx")\n'
    )
    script(folder, shared, "_shared.py")
    script(
        folder,
        'import transformers\nimport _shared\nq = transformers.pipeline("ner", "org/more")\n',
        "_more.py",
    )
    (folder / "package").mkdir()
    script(folder / "package", "", "__init__.py")
    script(folder / "package", shared.replace("org/shared", "org/inner"), "inner.py")
    script(folder, "from _shared import p" + PLAIN_HANDLER, "one.py")
    script(folder, "from package import inner" + PLAIN_HANDLER, "two.py")
    script(folder, "import json" + PLAIN_HANDLER, "three.py")
    one, three, two = read_scripts(folder)
    assert [declared.model for declared in one.pipelines] == ["org/shared", "org/more"]
    assert [declared.model for declared in two.pipelines] == ["org/inner", "org/more", "org/shared"]
    assert three.pipelines == ()


def test_a_mistake_in_shared_code_is_told_once_with_its_own_place(folder):
    script(folder, "from hf_lambda import pipeline\np = pipeline('x')\n", "_shared.py")
    script(folder, "def f(:\n", "_broken.py")
    for name in ("one.py", "two.py"):
        script(folder, "import _shared, _broken" + PLAIN_HANDLER, name)
    assert [problem.split(": ")[0] for problem in problems(folder)] == [
        "inference/_broken.py:1",
        "inference/_shared.py:2",
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("2nd.py", "must be a letter, then letters, digits, - or _"),
        ("a.b.py", "must be a letter"),
        (f"{'x' * 41}.py", "at most 40 in all"),
        ("json.py", "json is a module of Python's standard library, which this one would hide: give"),
        ("types.py", "standard library"),
        ("torch.py", "torch is a module of a package in the image"),
        ("PIL.py", "a package in the image"),
        ("yaml.py", "a package in the image"),
        ("google.py", "a package in the image"),
        ("hf_lambda.py", "hf_lambda is a module of this project"),
        ("infra.py", "a module of this project"),
    ],
)
def test_a_name_that_cannot_be_a_function_is_refused(folder, name, problem):
    script(folder, PLAIN_HANDLER, name)
    assert problem in problems(folder)[0]


def test_names_that_would_be_one_output_are_refused(folder):
    script(folder, PLAIN_HANDLER, "my-script.py")
    script(folder, PLAIN_HANDLER, "my_script.py")
    assert problems(folder) == ["inference/my_script.py:1: too like my-script.py: give the file another name"]


@pytest.mark.parametrize(
    ("engines", "image"),
    [(["onnx", "onnx"], "slim"), (["onnx", "auto"], "full"), (["torch"], "full"), ([], "full")],
)
def test_the_slim_image_is_for_scripts_whose_models_must_all_be_prepared(folder, engines, image):
    calls = [f'pipeline("ner", model="org/m{n}", engine="{engine}")' for n, engine in enumerate(engines)]
    assert read_scripts(script(folder, ours(f"[{', '.join(calls)}]")))[0].image == image


@pytest.mark.parametrize(
    ("packages", "task", "image"),
    [
        ("rapidfuzz\nLLGuidance>=1 # JSON\n", "text-generation", "full"),
        ("llguidance-extras\n# llguidance\n", "text-generation", "slim"),
        ("llguidance\n", "text-ranking", "slim"),
    ],
)
def test_what_holds_text_to_json_is_a_layer_of_the_full_image(folder, packages, task, image):
    (folder / "requirements.txt").write_text(packages)
    text = ours(f'pipeline("{task}", model="org/m", engine="onnx")')
    assert read_scripts(script(folder, text))[0].image == image


def test_shared_code_hides_no_module_either(folder):
    script(folder, PLAIN_HANDLER, "fine.py")
    script(folder, "x = 1\n", "_json.py")
    (folder / "numpy").mkdir()
    script(folder / "numpy", "", "__init__.py")
    (folder / "logging").mkdir()  # no package, so nothing is imported from it
    assert [problem.split(",")[0] for problem in problems(folder)] == [
        "inference/_json.py:1: _json is a module of Python's standard library",
        "inference/numpy:1: numpy is a module of a package in the image",
    ]


@pytest.mark.parametrize("name", ["serving.py", "utils.py", "pillow.py", "sentiment.py", "Json.py"])
def test_other_names_are_free(folder, name):
    assert [one.path.name for one in read_scripts(script(folder, PLAIN_HANDLER, name))] == [name]


def test_what_the_locked_packages_are_imported_as_is_refused():
    """The table of import names is right for every locked package that is installed here."""
    locked = "".join(path.read_text() for path in (ROOT / "inference").glob("requirements-*.txt"))
    names = {re.sub(r"[-_.]+", "-", name) for name in re.findall(r"^[a-z0-9][\w.-]*", locked, re.MULTILINE)}
    assert {"torch", "numpy", "transformers"} <= names
    imported = {
        module.partition("/")[0]
        for module, owners in importlib.metadata.packages_distributions().items()
        for owner in owners
        if re.sub(r"[-_.]+", "-", owner).lower() in names and not module.startswith("_")
    }
    assert len(imported) > 40
    assert imported - image_modules() == set()
    assert IMPORT_NAMES.keys() - names == set()


def test_every_folder_of_modules_of_this_project_is_refused():
    folders = {path.parent.name for path in ROOT.glob("*/*.py") if not path.parent.name.startswith(".")}
    # No packages: what a build makes, and a script that is run as a file and is in no image.
    assert folders - OWN_PACKAGES - {"build", "requirements"} == set()


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("from serving import endpoint, pipeline", "from hf_lambda import endpoint, pipeline"),
        ("from serving import pipeline as p", "from hf_lambda import pipeline as p"),
        ("import serving", "import hf_lambda"),
        ("import serving as s", "import hf_lambda as s"),
        ("from serving.errors import BadRequest", "from hf_lambda.errors import BadRequest"),
    ],
)
def test_the_former_name_of_the_library_is_answered_with_the_line_to_write(folder, line, instead):
    script(folder, f"{line}\n\n\n@endpoint\ndef handler(text: str): ...\n")
    assert problems(folder) == [f"inference/script.py:1: the library is called hf_lambda: write `{instead}`"]


def test_the_former_name_is_found_in_shared_code_too(folder):
    script(folder, "\nfrom serving import pipeline\n", "_shared.py")
    script(folder, "from _shared import pipeline" + PLAIN_HANDLER, "one.py")
    assert problems(folder)[0].startswith("inference/_shared.py:2: the library is called hf_lambda")


def test_a_module_of_the_users_may_be_called_as_the_library_once_was(folder):
    script(folder, PLAIN_HANDLER, "serving.py")
    script(folder, "from serving import classify" + PLAIN_HANDLER, "one.py")
    assert [one.name for one in read_scripts(folder)] == ["one", "serving"]


def test_scripts_are_read_where_an_image_has_them_beside_the_project_s_own_packages(tmp_path):
    """The warm-up's prune, and the preparation in an image, read /var/task."""
    root = Path(__file__).parents[2]
    for package in ("discovery", "hf_lambda"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "inference/sentiment.py", tmp_path)
    program = "import pathlib, discovery; print([s.name for s in discovery.read_scripts(pathlib.Path.cwd())])"
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['sentiment']\n"
