"""What importing costs: scripts and what reads them stay free of everything heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "numpy",
    "torch",
    "transformers",
    "onnxruntime",
    "tokenizers",
    "huggingface_hub",
    "PIL",
    "soundfile",
    "importlib.metadata",
}
EXAMPLES = [
    *("translate-en2fr", "embeddings", "zero-shot", "chat"),
    *("image-classification", "rerank", "clip", "detect", "transcribe"),
]


def loaded_after(code: str) -> set[str]:
    program = f"import sys, json, importlib\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    environ = {"PYTHONPATH": f"{ROOT / 'inference'}:{ROOT / 'examples'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("script", ["sentiment", "summarization", *EXAMPLES])
def test_importing_a_script_loads_nothing_heavy(script):
    assert HEAVY & loaded_after(f"importlib.import_module({script!r})") == set()


def test_reading_scripts_needs_the_standard_library_alone():
    loaded = loaded_after("from discovery import read_scripts")
    tops = {name.partition(".")[0] for name in loaded}
    assert tops - {*sys.stdlib_module_names} <= {
        "__main__",
        "discovery",
        "hf_lambda",
        "_distutils_hack",
    }  # the last: setuptools


def test_a_script_imports_few_modules():
    """Each takes about half a millisecond of a cold start; today a script has 49 that no engine needs."""
    engines = loaded_after("import inspect, json, typing")
    assert len(loaded_after("importlib.import_module('sentiment')") - engines) < 60


def test_numpy_is_imported_before_its_parts():
    """Of two threads that import numpy, the second waits only if it asks for `numpy` itself.

    A request's sound imports numpy while a background thread imports the engine: with `numpy.typing` first,
    that one goes into a numpy that is half imported, and both fail.
    """
    careless = []
    for path in (ROOT / "hf_lambda").rglob("*.py"):
        names: list[str] = []
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
        first = next((name for name in names if name.partition(".")[0] == "numpy"), "numpy")
        careless += [path] if first != "numpy" else []
    assert careless == []
