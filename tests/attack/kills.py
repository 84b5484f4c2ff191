"""Warm-ups that are killed in the middle of a change of commit: the cache is the old one or the new one.

Some after a time that is drawn, some before their n-th change of the cache, and some with all the processes
that the steps of preparing run in.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from local.hub import Hub, serve

from .campaign import Outcome
from .stage import SMALL, Stage, entry, is_same, shown

CASES = 200
WHOLE, SERVED = "the cache is the old one or the new one", "the next run serves what it prepared"
_ISOLATED = 20
"""Of so many kills one is of a warm-up whose steps have processes of their own, each of which loads torch."""
_PATIENCE_S = 120
"""A warm-up takes seconds; one that takes so long hangs."""
_FORKS = multiprocessing.get_context("forkserver")
_PRELOADED = (
    *("hf_lambda", "warmup", "local.", "tests."),
    *("huggingface_hub", "numpy", "onnx", "safetensors", "tokenizers", "torch", "transformers"),
)
"""What a warm-up imports for seconds."""
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
        attacked = Stage(running.url, cache)
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
    """What the warm-up takes without any kill, in a process as those that are killed."""
    _fresh(stage, attacked.cache)
    began = time.monotonic()
    with child_process(_warm, attacked) as child:
        child.join(_PATIENCE_S)
        if child.exitcode != 0:
            raise RuntimeError("the new commit cannot be warmed without any kill")
    return time.monotonic() - began


def _fresh(stage: Stage, cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(stage.cache, cache, symlinks=True)


def _case(stage: Stage, attacked: Stage, old: object, new: object, kill: Kill) -> Outcome:
    _fresh(stage, attacked.cache)
    hangs = _killed(attacked, kill)
    said = [hangs] if hangs else []
    answer = _answer(attacked)
    whole = is_same(answer, old) or is_same(answer, new)
    if not whole:
        said.append(f"answers {answer}")
    state = attacked.warm(entry(SMALL))
    answer = _answer(attacked)
    served = state["state"] == "done" and is_same(answer, new)
    if not served:
        said.append(f"then {state}: answers {answer}")
    return Outcome(str(kill), {WHOLE: whole, SERVED: served and not hangs}, "; ".join(said))


def _answer(stage: Stage) -> object:
    try:
        return stage.ask(SMALL, "onnx")
    except Exception as error:  # noqa: BLE001 - an answer that is neither
        return shown(error)


def _killed(stage: Stage, kill: Kill) -> str:
    """Run the warm-up in a process group of its own, and end all of it where it stands. Tells what hung."""
    with child_process(_warm, replace(stage, isolated=kill.isolated), kill.change) as child:
        child.join(kill.delay_s or _PATIENCE_S)
        if child.exitcode is None and kill.delay_s is None:
            return f"the warm-up hangs: not at its change {kill.change}"
        return "the warm-up failed before it was killed" if child.exitcode == 1 else ""


def _changes(stage: Stage) -> int:
    """How often the warm-up changes the cache; seen in a process of its own, as such a hook stays."""
    reading, writing = _FORKS.Pipe(duplex=False)
    with child_process(_warm, stage, None, writing), reading:
        writing.close()
        if not reading.poll(_PATIENCE_S):
            raise RuntimeError(f"the warm-up did not end within {_PATIENCE_S} s")
        return int(reading.recv())


def _warm(stage: Stage, change: int | None = None, changes: Connection | None = None) -> None:
    """Warm. Kill this process when it begins its `change`th change of the cache; tell how many there were."""
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if _is_change(str(stage.cache), event, arguments):
            seen += 1
            if seen == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    if stage.warm(entry(SMALL))["state"] != "done":
        sys.exit("the warm-up failed")
    if changes is not None:
        changes.send(seen)


@contextlib.contextmanager
def child_process(run: Callable[..., None], stage: Stage, *arguments: object) -> Iterator[BaseProcess]:
    """A process that runs `run(stage, *arguments)` with what is imported here, and is gone afterwards.

    It is forked from a server without threads: a fork of this process, in which the Hub answers and engines
    compute, would at times wait for ever for a lock that one of those threads held.
    """
    _FORKS.set_forkserver_preload(sorted(name for name in sys.modules if name.startswith(_PRELOADED)))
    child = _FORKS.Process(target=_in_group, args=(run, stage, *arguments))
    child.start()
    group = child.pid
    assert group
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has not made its group yet, or all are gone
            os.killpg(group, signal.SIGKILL)
        child.kill()
        child.join()
        child.close()


def _in_group(run: Callable[..., None], *arguments: object) -> None:
    from transformers.utils import logging

    os.setsid()
    logging.disable_progress_bar()
    faulthandler.dump_traceback_later(0.9 * _PATIENCE_S)  # whoever waits is told where it stands
    run(*arguments)


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
