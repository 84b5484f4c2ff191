"""What the images are made of, and what a change of a script costs."""

import io
import json
import re
import tarfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from local.docker import images as building
from local.docker.engine import EngineError
from tests.container.support import ROOT, copy_tree, run

LOCKS = {
    "slim": ["requirements-slim.txt"],
    "full": ["requirements-full.txt", "requirements-torch.txt"],
}
ROOT_USER = ["--user", "0:0"]


@pytest.fixture(params=["slim", "full"])
def target(request):
    return request.param


def test_what_is_installed_is_what_is_locked(engine, images, target):
    pip = Path(str(distribution("pip").locate_file("pip")))
    options = ["--volume", f"{pip}:/host/pip:ro", "--env", "PYTHONPATH=/host"]
    frozen = run(engine, images[target], "-m", "pip", "freeze", "--all", options=options).splitlines()
    assert {normal(line) for line in frozen} == locked(target)


@pytest.mark.parametrize("missing", ["torch", "transformers", "huggingface_hub", "pip", "setuptools", "onnx"])
def test_the_slim_image_has_nothing_that_serving_prepared_models_does_without(engine, images, missing):
    code = f"import importlib.util; print(importlib.util.find_spec({missing!r}))"
    assert run(engine, images["slim"], "-c", code) == "None"


def test_everything_imported_at_start_up_comes_compiled(engine, images, target):
    code = "import asyncio, awslambdaric.bootstrap, numpy, onnxruntime, tokenizers, hf_lambda, sentiment"
    code += ", PIL.Image, PIL.ImageOps, PIL.JpegImagePlugin, soundfile"
    more = ", torch, transformers, warmup.worker.handler" if target == "full" else ""
    done = engine.run("run", "--rm", "--entrypoint", "python", images[target], "-v", "-c", code + more)
    sources = re.findall(r"code object from '([^']+\.py)'", done.stderr.decode())
    assert re.search(r"code object from '[^']+\.pyc'", done.stderr.decode())
    assert sources == []


def test_no_pyc_file_is_checked_against_the_time_of_its_source(engine, images, target):
    code = (
        "import pathlib; print([str(path) for root in ('/opt', '/var/task') for path in pathlib.Path(root)"
        ".rglob('*.pyc') if path.read_bytes()[4:8] != b'\\1\\0\\0\\0'])"
    )
    assert run(engine, images[target], "-c", code) == "[]"


def test_every_file_of_the_image_can_be_read_by_any_user(engine, images, target):
    find = ["/opt", "/var/task", "-not", "-perm", "-o+r", "-not", "-type", "l"]
    assert run(engine, images[target], *find, entrypoint="find", options=ROOT_USER) == ""


def test_an_image_is_one_manifest_for_one_platform(engine, images):
    files = exported(engine, images["slim"])
    assert len(json.loads(files["manifest.json"])) == 1
    if "index.json" in files:  # of engines with containerd's image store
        (only,) = json.loads(files["index.json"])["manifests"]
        assert "index" not in only["mediaType"]
        assert "list" not in only["mediaType"]


def test_an_edited_script_changes_the_last_layer_alone(engine, images, tree, target, tmp_path):
    before = layers(engine, images[target])
    edited = tree / "inference/sentiment.py"
    original = edited.read_text()
    edited.write_text(original + "\n# edited\n")
    try:
        name = building.build(engine, target, root=tree, name="hf-lambda-test:edited", log=tmp_path / "log")
    finally:
        edited.write_text(original)
    after = layers(engine, name)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    assert last_layer_bytes(engine, name) < 2 << 20


def test_packages_of_the_users_own_are_one_layer_on_full_beside_what_is_locked(
    engine, images, tree, tmp_path
):
    wanted = tree / "inference/requirements.txt"
    wanted.write_text("humanize\nnumpy\n")
    try:
        name = building.build(engine, "full", root=tree, name="hf-lambda-test:extra", log=tmp_path / "log")
        wanted.write_text("numpy==1.26.0\n")
        with pytest.raises(EngineError, match="does not go with the packages of the image"):
            building.build(engine, "full", root=tree, name="hf-lambda-test:odd", log=tmp_path / "log")
    finally:
        wanted.unlink()
    before, after = layers(engine, images["full"]), layers(engine, name)
    same = [old == new for old, new in zip(before, after, strict=True)]
    assert same[:-3] == [True] * (len(before) - 3) and not same[-3]  # below the code and the scripts
    code = "import humanize, numpy, torch; print(humanize.__file__, numpy.__file__, humanize.naturalsize(1))"
    assert run(engine, name, "-c", code).split()[:2] == [
        "/opt/extra/humanize/__init__.py",
        *re.findall(
            r"/opt/venv/\S+", run(engine, images["full"], "-c", "import numpy; print(numpy.__file__)")
        ),
    ]
    checked = "import pathlib; print([str(path) for path in pathlib.Path('/opt/extra').rglob('*.pyc')][:1])"
    assert "humanize" in run(engine, name, "-c", checked)


def test_nothing_gets_in_but_scripts_and_locks(engine, tmp_path):
    tree = copy_tree(tmp_path)
    secrets = ["secret.txt", "inference/.env", "inference/token", "inference/key.pem", "inference/notes.md"]
    secrets += ["hf_lambda/.netrc", "inference/.hidden/x.py", "warmup/credentials", "warmup/aws.ini"]
    for name in secrets:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("secret")
    image = building.build(engine, "full", root=tree, name="hf-lambda-test:secrets", log=tmp_path / "log")
    found = run(engine, image, "/var/task", "-type", "f", "-print", entrypoint="find").splitlines()
    assert {Path(path).suffix for path in found} <= {".py", ".pyc", ".jsonl"}
    assert not [path for path in found if ".hidden" in path]


def test_a_script_with_a_syntax_error_stops_the_build_with_file_and_line(engine, tmp_path):
    assert re.search(
        r"broken\.py:3\b", refusal(engine, tmp_path, "import json\n\ndef handler(event, context:\n")
    )


def test_a_script_without_a_handler_stops_the_build_with_its_file(engine, tmp_path):
    said = refusal(engine, tmp_path, "import json\n\n\ndef handle(event, context):\n    return event\n")
    assert re.search(r"broken\.py:\d+: .*handler", said)


def refusal(engine, tmp_path, script):
    """What a build says about a script that cannot serve."""
    tree = copy_tree(tmp_path / "tree")
    (tree / "inference/broken.py").write_text(script)
    with pytest.raises(EngineError) as caught:
        building.build(engine, "slim", root=tree, name="hf-lambda-test:broken", log=tmp_path / "log")
    return str(caught.value)


def locked(target):
    """`name==version` of what the requirements say for the image's Python."""
    marker = {"python_full_version": "3.11.0", "python_version": "3.11", "sys_platform": "linux"}
    lines = [line for lock in LOCKS[target] for line in (ROOT / "inference" / lock).read_text().splitlines()]
    pins = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[a-z0-9]", line)]
    return {
        normal(f"{pin.name}{pin.specifier}") for pin in pins if not pin.marker or pin.marker.evaluate(marker)
    }


def normal(pin):
    name, _, version = pin.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


def layers(engine, image):
    return json.loads(engine.text("image", "inspect", "--format", "{{json .RootFS.Layers}}", image))


def last_layer_bytes(engine, image):
    sizes = engine.text("history", "--human=false", "--format", "{{.Size}}", image).splitlines()
    return int(sizes[0])


def exported(engine, image):
    """The JSON files at the top of `docker save`."""
    with tarfile.open(fileobj=io.BytesIO(engine.run("save", image).stdout)) as tar:
        names = [name for name in tar.getnames() if name.endswith(".json") and "/" not in name]
        files = {name: tar.extractfile(name) for name in names}
        return {name: file.read() for name, file in files.items() if file}
