"""Warm-ups that are killed in the middle of a change of commit: the cache is the old one or the new one.

Some after a time that is drawn, some before their n-th change of the cache, and some with all the processes
that the steps of preparing run in.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from local.hub import Hub, serve

from .campaign import Outcome
from .stage import SMALL, Stage, entry, is_same, shown

CASES = 200
WHOLE, SERVED = "the cache is the old one or the new one", "the next run serves what it prepared"
_ISOLATED = 20
"""Of so many kills one is of a warm-up whose steps have processes of their own, each of which loads torch."""
_CHANGES = (
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"),
    *("os.chmod", "os.utime", "shutil.rmtree"),
)
"""What Python tells of before it is done, beside files that are opened for writing."""


def change(models: Path, changed: Path) -> Path:
    """The same repository with other weights: another commit."""
    from tests import tiny_encoders

    folder = changed / SMALL
    shutil.copytree(models / SMALL, folder)
    tiny_encoders.save_head(folder, "AutoModelForSequenceClassification", seed=1)
    return changed


@dataclass(frozen=True)
class Kill:
    """Of a warm-up after `delay_s`, or before its `change`th change of the cache, counted from 1."""

    delay_s: float | None = None
    change: int | None = None
    isolated: bool = False

    def __str__(self) -> str:
        if self.change is not None:
            return f"kill before change {self.change}"
        return f"kill {'of all processes ' if self.isolated else ''}after {self.delay_s:.2f} s"


def cases(
    stage: Stage, changed: Path, scratch: Path, seed: int, count: int
) -> Iterator[Callable[[], Outcome]]:
    """`count` kills, spread over all of what a warm-up does. `stage` has the old commit prepared."""
    draw = random.Random(seed)
    old = stage.ask(SMALL, "onnx")
    cache = scratch / "kill"
    with serve(Hub(changed)) as running:
        attacked = Stage(running.hub, running.url, cache)
        _fresh(stage, cache)
        changes = _changes(attacked)
        whole_s = _seconds(stage, attacked)
        new = attacked.ask(SMALL, "onnx")
        if is_same(old, new):
            raise RuntimeError("the two commits answer alike")
        isolated_s: float | None = None
        for number in range(count):
            if number % _ISOLATED == _ISOLATED - 1:
                if isolated_s is None:
                    isolated_s = _seconds(stage, replace(attacked, isolated=True))
                kill = Kill(isolated_s * draw.random(), isolated=True)
            elif number % 2:
                kill = Kill(whole_s * draw.random())
            else:
                kill = Kill(change=draw.randint(1, changes))
            yield partial(_case, stage, attacked, old, new, kill)


def _seconds(stage: Stage, attacked: Stage) -> float:
    """What the warm-up takes without any kill."""
    _fresh(stage, attacked.cache)
    began = time.monotonic()
    if attacked.warm(entry(SMALL))["state"] != "done":
        raise RuntimeError("the new commit cannot be warmed without any kill")
    return time.monotonic() - began


def _fresh(stage: Stage, cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(stage.cache, cache, symlinks=True)


def _case(stage: Stage, attacked: Stage, old: object, new: object, kill: Kill) -> Outcome:
    _fresh(stage, attacked.cache)
    _killed(attacked, kill)
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
    return Outcome(str(kill), {WHOLE: whole, SERVED: served}, "; ".join(said))


def _answer(stage: Stage) -> object:
    try:
        return stage.ask(SMALL, "onnx")
    except Exception as error:  # noqa: BLE001 - an answer that is neither
        return shown(error)


def _killed(stage: Stage, kill: Kill) -> None:
    """Run the warm-up in a process group of its own, and end all of it where it stands."""
    attacked = replace(stage, isolated=kill.isolated)
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if kill.change is not None:
                _end_before(kill.change, stage.cache)
            attacked.warm(entry(SMALL))
        finally:
            os._exit(0)
    if kill.delay_s is not None:
        threading.Event().wait(kill.delay_s)
        with contextlib.suppress(ProcessLookupError):  # it has not made its group yet
            os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)  # done or not, it is there until it is waited for
    os.waitpid(child, 0)


def _end_before(change: int, cache: Path) -> None:
    """Kill this process when it begins its `change`th change of `cache`."""
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if _is_change(str(cache), event, arguments):
            seen += 1
            if seen == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _changes(stage: Stage) -> int:
    """How often the warm-up changes the cache; seen in a process of its own, as such a hook stays."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            seen = 0

            def count(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal seen
                seen += _is_change(str(stage.cache), event, arguments)

            sys.addaudithook(count)
            stage.warm(entry(SMALL))
            os.write(writing, str(seen).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        seen_there = pipe.read()
    os.waitpid(child, 0)
    return int(seen_there)


def _is_change(cache: str, event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        *_, flags = arguments
        if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            return False
    elif event not in _CHANGES:
        return False
    return any(_path(each).startswith(cache) for each in arguments[:2])


def _path(argument: object) -> str:
    return os.fsdecode(argument) if isinstance(argument, str | bytes | os.PathLike) else ""
