"""Scripts that tests write, and what discovery says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery import ScriptError, read_scripts

IMPORT = "from hf_lambda import endpoint, pipeline\n"
HANDLER = "\n\n@endpoint\ndef handler(text: str): ...\n"


def script(folder: Path, text: str, name: str = "script.py") -> Path:
    (folder / name).write_text(text)
    return folder


def ours(call: str) -> str:
    return f"{IMPORT}p = {call}{HANDLER}"


def problems(folder: Path) -> list[str]:
    with pytest.raises(ScriptError) as caught:
        read_scripts(folder)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [*caught.value.problems]
