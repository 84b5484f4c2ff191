"""No code of a repository runs by default: every load says so by itself."""

import ast
from pathlib import Path

import pytest

from hf_lambda.remote_code import Consent
from hf_lambda.torch_engine.code import code_options, consent_to_code

ROOT = Path(__file__).parents[1]
LOADS = ("from_pretrained", "from_config")
_PLAIN_DATA = ("GenerationConfig", "torch.nn.EmbeddingBag", "AutoHfQuantizer")
"""Classes that are made of no code of a repository."""


def _without_a_word(source: str) -> list[str]:
    """Loads that do not say `trust_remote_code`; `**options` or `**code_options()` may say it."""
    lacking = []
    for call in _loads_of(source):
        names = [keyword.arg for keyword in call.keywords]
        asks = "**code_options()" in ast.unparse(call)
        if "trust_remote_code" not in names and not asks and not _in_options(call, source):
            lacking.append(ast.unparse(call))
    return lacking


def _loads_of(source: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOADS
        and ast.unparse(node.func.value) not in _PLAIN_DATA
    ]


def _in_options(call: ast.Call, source: str) -> bool:
    spread = any(keyword.arg is None for keyword in call.keywords)
    return spread and ('"trust_remote_code": False' in source or '": True, **code_options()' in source)


@pytest.mark.parametrize("folder", ["hf_lambda", "warmup"])
def test_every_load_says_whether_it_runs_code(folder):
    sources = {path: path.read_text() for path in sorted((ROOT / folder).rglob("*.py"))}
    assert sum(len(_loads_of(source)) for source in sources.values()) > 2
    assert {str(path): found for path, source in sources.items() if (found := _without_a_word(source))} == {}


def test_one_that_does_not_is_found():
    assert _without_a_word("AutoModel.from_pretrained(folder, dtype=x)") != []
    assert _without_a_word("AutoModel.from_pretrained(folder, trust_remote_code=False)") == []


def test_what_loads_ask_says_no_but_where_the_script_consents():
    consent = Consent("c" * 40)
    assert code_options() == {"trust_remote_code": False}
    with consent_to_code(consent):
        assert code_options() == {"trust_remote_code": True, "code_revision": "c" * 40}
        with consent_to_code(None):
            assert code_options() == {"trust_remote_code": False}
    assert code_options() == {"trust_remote_code": False}
