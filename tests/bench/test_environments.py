"""The benchmark's environments hold what each contender needs and nothing else."""

import subprocess
from importlib.metadata import PackageNotFoundError

import pytest

from bench import environments
from bench.environments import lay_out


def test_the_slim_environment_serves_and_has_neither_torch_nor_transformers(tmp_path):
    slim = lay_out("slim", tmp_path)
    code = (
        "import numpy, onnxruntime, tokenizers, awslambdaric, soundfile, sys\n"
        "import PIL.JpegImagePlugin, PIL.AvifImagePlugin\n"
        "from importlib.util import find_spec\n"
        "assert sys.prefix in numpy.__file__, numpy.__file__\n"
        "print([name for name in ('torch', 'transformers', 'onnx', 'pip') if find_spec(name)])"
    )
    done = subprocess.run([slim.python, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_slim_environment_is_trimmed_as_the_image_is(tmp_path):
    slim = lay_out("slim", tmp_path)
    names = {str(path.relative_to(slim.folder)) for path in slim.folder.rglob("*onnxruntime*/*")}
    assert any(name.endswith("onnxruntime/capi") for name in names)
    assert not any(name.endswith(("onnxruntime/tools", "onnxruntime/quantization")) for name in names)
    assert 50e6 < slim.bytes <= 140e6  # what docs/image.md promises


def test_a_rival_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(environments.PACKAGES, "rival", ("no-such-engine",))
    with pytest.raises(PackageNotFoundError, match="no-such-engine"):
        lay_out("rival", tmp_path)
