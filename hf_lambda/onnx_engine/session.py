"""Opening an offline-optimised graph: weights read ahead in parallel, threads as the function has CPUs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import deadline
from ..errors import LoadFailed
from ..records import Json
from ..threads import MB_PER_VCPU, thread_count

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_THREADS = 16
_BLOCK = 1 << 20


class Prefetch:
    """Reads the dense weights into the page cache, from many threads: a network disk answers each one late.

    Nothing is kept: onnxruntime maps the same pages. Standard library only, so it can start first.
    """

    def __init__(self, folder: Path, dense: Mapping[str, int]) -> None:
        """dense: bytes to read from the start of each file."""
        self._blocks = iter(
            [(str(folder / name), start) for name, size in dense.items() for start in range(0, size, _BLOCK)]
        )
        self._lock = threading.Lock()
        self._files: dict[str, int] = {}
        count = min(_THREADS, sum(-(-size // _BLOCK) for size in dense.values()))
        self._reading = count
        self._workers = [threading.Thread(target=self._read, daemon=True) for _ in range(count)]
        for worker in self._workers:
            worker.start()

    def wait(self) -> None:
        """Until everything is read. Nobody has to: the session's own page faults wait for what they need."""
        for worker in self._workers:
            worker.join()

    def _read(self) -> None:
        buffer = bytearray(_BLOCK)
        while block := self._next():
            os.preadv(block[0], [buffer], block[1])
        with self._lock:
            self._reading -= 1
            if not self._reading:
                for descriptor in self._files.values():
                    os.close(descriptor)

    def _next(self) -> tuple[int, int] | None:
        with self._lock:
            path, start = next(self._blocks, ("", 0))
            if not path:
                return None
            if path not in self._files:
                self._files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return self._files[path], start


def open_session(
    graph: Path, environ: Mapping[str, str] = os.environ, *, prepack: bool = True, layout: bool = False
) -> InferenceSession:
    """An onnxruntime session over `graph`, which the warm-up has optimised already.

    prepack: copy the matrices into the order that the CPU multiplies in. Without it they are used where
    they are mapped, which takes little memory and more time.
    layout: let onnxruntime arrange convolutions for the CPU at hand, which the warm-up cannot know.
    Raises LoadFailed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if layout else levels.ORT_DISABLE_ALL
    threads = thread_count(environ)
    options.intra_op_num_threads = threads
    if _owns_cpus(threads, environ):
        # Long enough for the gaps inside a run. By default threads go on spinning for tens of milliseconds
        # after it, and from their start through the whole opening: a sixth of a cold start's CPU time.
        options.add_session_config_entry("session.intra_op.spin_duration_us", "1000")
    else:
        # A thread that spins while it waits for work takes the time that the others would compute in.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        """Runs while there is time left for the request; beyond, it stops between two nodes of the graph."""

        def run(self, *arguments: object) -> Json:
            return self._in_time(super().run, *arguments)

        def run_with_ort_values(self, *arguments: object) -> Json:
            return self._in_time(super().run_with_ort_values, *arguments)

        def run_with_iobinding(self, *arguments: object) -> Json:
            return self._in_time(super().run_with_iobinding, *arguments)

        def _in_time(self, run: Callable[..., Json], *arguments: object) -> Json:
            deadline.check()
            options = onnxruntime.RunOptions()
            try:
                with deadline.stopping(options):
                    return run(*arguments, options)
            except Exception:  # onnxruntime's own have no common type of their own
                if options.terminate:
                    deadline.check()
                raise

    try:
        return Session(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common type of their own
        raise LoadFailed(f"onnxruntime does not load {graph.name}") from error


def _owns_cpus(threads: int, environ: Mapping[str, str]) -> bool:
    """Whether the function's memory buys `threads` whole CPUs. Elsewhere nobody knows who else computes."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return memory_mb.isdecimal() and int(memory_mb) >= threads * MB_PER_VCPU
