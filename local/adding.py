"""Which Hub `make add` asks: the one that `make up` would warm the model from."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from local.hub.repositories import find_repositories
from local.hub.server import Hub, serve
from local.layout import Folder
from local.models.building import SENTENCE_MODEL
from local.models.stand_ins import STAND_INS
from local.stack import StackError

NOTE = (
    "note: that was the embedded Hub, and what stands there for the model; on the Hub itself the commit "
    "may be another. With a network `HUB=https://huggingface.co FORCE=1` asks that one"
)


@contextlib.contextmanager
def hub_for(
    folder: Folder, repo_id: str, hub: str | None, models: Sequence[str], say: Callable[[str], None]
) -> Iterator[tuple[str | None, bool]]:
    """The address to ask, None for huggingface.co, and whether it is the embedded Hub's.

    `hub` and HF_ENDPOINT go first; then what the embedded Hub has, from `models` or as a stand-in, which is
    built where it is missing. Raises StackError.
    """
    if hub or os.environ.get("HF_ENDPOINT"):
        yield hub, False
        return
    built = folder.path / "models"
    if repo_id in stand_ins():
        building = [sys.executable, "-m", "local.models", "--into", str(built), "--for", repo_id]
        say("building what is missing of the stand-in model ...")
        done = subprocess.run(building, cwd=folder.root, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise StackError("the stand-in model was not built; see above")
    try:
        found = find_repositories([*([built] if built.is_dir() else []), *map(Path, models)])
    except ValueError as problem:
        raise StackError(str(problem)) from None
    if repo_id not in found:
        yield None, False
        return
    embedded = Hub({})
    embedded.repositories[repo_id] = found[repo_id]
    with serve(embedded) as running:
        yield running.url, True


def stand_ins() -> list[str]:
    """The models that the embedded Hub has without being given any."""
    return sorted([SENTENCE_MODEL, *(each.repo_id for each in STAND_INS)])
