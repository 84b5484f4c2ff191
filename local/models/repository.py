"""What a stand-in's folder has beside its weights: a card that says what it is, files of other formats."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hf_lambda.records import Json

from .stand_ins import StandIn

SEED = 20261122

_GIT_ATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n"
    for suffix in ("bin", "h5", "model", "msgpack", "onnx", "ot", "safetensors")
)
_NOT_A_MODEL = (
    "This file takes the place of weights in a format that hf-lambda never loads. It is no model.\n"
)


def write_repository(stand_in: StandIn, folder: Path) -> None:
    """Card, attributes, other formats and the commit, beside the model's own files in `folder`."""
    (folder / "README.md").write_text(_card(stand_in), encoding="utf-8")
    (folder / ".gitattributes").write_text(_GIT_ATTRIBUTES, encoding="utf-8")
    for name in stand_in.other_formats:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_NOT_A_MODEL, encoding="utf-8")
    if stand_in.commit:
        (folder / ".commit").write_text(stand_in.commit, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Json]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _card(stand_in: StandIn) -> str:
    commit = f"commit {stand_in.commit}" if stand_in.commit else "any commit"
    return f"""---
pipeline_tag: {stand_in.task}
license: mit-0
tags: [stand-in]
---
# Stand-in for {stand_in.repo_id}

**This is not {stand_in.repo_id}.** It is a tiny model that hf-lambda builds on your machine,
so that `make up` works without a network and in seconds. It has the architecture and the file
layout of the real one ({commit}), and weights of its own. {stand_in.does}

Do not judge the real model by it. To use the real one: `make up HUB=https://huggingface.co`, or deploy
to AWS.
"""
