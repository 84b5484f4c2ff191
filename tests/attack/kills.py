"""Warm-ups that are killed in the middle of a change of commit: the cache is the old one or the new one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from local.hub import Hub, serve

from .campaign import Outcome
from .stage import SMALL, Stage, entry, is_same, shown

CASES = 200
WHOLE, SERVED = "the cache is the old one or the new one", "the next run serves what it prepared"


def change(models: Path, changed: Path) -> Path:
    """The same repository with other weights: another commit."""
    from tests import tiny_encoders

    folder = changed / SMALL
    shutil.copytree(models / SMALL, folder)
    tiny_encoders.save_head(folder, "AutoModelForSequenceClassification", seed=1)
    return changed


def cases(
    stage: Stage, changed: Path, scratch: Path, seed: int, count: int
) -> Iterator[Callable[[], Outcome]]:
    """`count` kills, spread over the whole of what a warm-up takes. `stage` has the old commit prepared."""
    draw = random.Random(seed)
    old = stage.ask(SMALL, "onnx")
    cache = scratch / "kill"
    with serve(Hub(changed)) as running:
        attacked = Stage(running.hub, running.url, cache)
        _fresh(stage, cache)
        began = time.monotonic()
        if attacked.warm(entry(SMALL))["state"] != "done":
            raise RuntimeError("the new commit cannot be warmed without any kill")
        whole_s = time.monotonic() - began
        new = attacked.ask(SMALL, "onnx")
        if is_same(old, new):
            raise RuntimeError("the two commits answer alike")
        for number in range(count):
            # Most of the time goes into preparing; fetching and publishing are as interesting.
            delay_s = whole_s * draw.random() ** draw.choice((1, 3))
            yield partial(
                _case, stage, attacked, old, new, delay_s, f"kill {number + 1} after {delay_s:.2f} s"
            )


def _fresh(stage: Stage, cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(stage.cache, cache, symlinks=True)


def _case(stage: Stage, attacked: Stage, old: object, new: object, delay_s: float, name: str) -> Outcome:
    _fresh(stage, attacked.cache)
    _killed(attacked, delay_s)
    said: list[str] = []
    answer = _answer(attacked)
    whole = is_same(answer, old) or is_same(answer, new)
    if not whole:
        said.append(f"answers {answer}")
    state = attacked.warm(entry(SMALL))
    answer = _answer(attacked)
    served = state["state"] == "done" and is_same(answer, new)
    if not served:
        said.append(f"then {state}: answers {answer}")
    return Outcome(name, {WHOLE: whole, SERVED: served}, "; ".join(said))


def _answer(stage: Stage) -> object:
    try:
        return stage.ask(SMALL, "onnx")
    except Exception as error:  # noqa: BLE001 - an answer that is neither
        return shown(error)


def _killed(stage: Stage, delay_s: float) -> None:
    """Run the warm-up in a process of its own, and end it where it stands."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            stage.warm(entry(SMALL))
        finally:
            os._exit(0)
    threading.Event().wait(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
