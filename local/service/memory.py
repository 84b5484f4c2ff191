"""Enforces a function's memory as Lambda does: what uses more is killed."""

import threading
from types import TracebackType

from local.processes import kill_session, session_members
from local.service.relay import anonymous_kb

SAMPLE_S = 0.05


class MemoryLimit:
    """Watches the processes of a session for as long as the block lasts, and kills them over `limit_mb`.

    Sampled, so that it works without a control group of one's own. Mapped files do not count: the kernel
    takes their pages back whenever it needs them.
    """

    def __init__(self, session: int, limit_mb: int, peak_mb: float = 0.0) -> None:
        """`peak_mb`: the most that was seen of the session before."""
        self._session, self._limit_mb, self.seen_mb = session, limit_mb, peak_mb
        self._over, self._turn = threading.Event(), threading.Lock()
        self.exceeded = False
        self._thread = threading.Thread(target=self._watch, name=f"memory {session}", daemon=True)

    def __enter__(self) -> "MemoryLimit":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def peak_mb(self) -> float:
        """The most that was seen so far, and what is there now."""
        with self._turn:
            self.seen_mb = max(self.seen_mb, anonymous_mb(self._session))
            return self.seen_mb

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            if self.peak_mb() > self._limit_mb:
                self.exceeded = True
                kill_session(self._session)
                return


def anonymous_mb(session: int) -> float:
    """Memory that the processes of a session hold beside mapped files."""
    return sum(anonymous_kb(pid) for pid in session_members(session)) / 1024
