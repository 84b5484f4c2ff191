"""What an instance writes: kept in the function's log file, and handed out request by request."""

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from local.service.relay import REPORT, with_peak

REPORT_WAIT_S = 0.5
"""How long to wait for the last line of a request; none comes where the runtime was killed."""
_START = re.compile(r"START RequestId: (\S+)")
_LAST = re.compile(r"^REPORT RequestId:|\(rapid\) Invoke DONE failed")
_OWN = re.compile(r'^\{"event": "request"')
_EMULATOR_CHATTER = re.compile(r"^\d+ \w+ \d+ [\d:,]+ \[(DEBUG|INFO|WARNING)\] \(rapid\)")


class RuntimeLog:
    """Reads `stream` to its end, line by line, in the background.

    `peak_mb` says what a REPORT should of the memory that was used; without it the line stays as it came.
    """

    def __init__(self, stream: IO[bytes], path: Path, peak_mb: Callable[[], int] | None = None) -> None:
        self.path, self._peak_mb = path, peak_mb
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"log {path.stem}", daemon=True)
        self._reader.start()

    def begin(self) -> int:
        """Mark where a request begins. What came before the first one belongs to it, as Lambda has it."""
        with self._news:
            if any(_START.match(line) for line in self._lines):
                self._lines.clear()
            return len(self._lines)

    def end(self, mark: int, *, own_line: bool = False) -> tuple[str | None, str]:
        """Id of the request begun at `mark`, if it got one, and all lines up to its REPORT.

        own_line: also the one that the handler writes of a request.
        """
        needed = (_LAST, _OWN) if own_line else (_LAST,)
        with self._news:
            self._news.wait_for(lambda: self._ended or self._has(mark, needed), REPORT_WAIT_S)
            starts = (_START.match(line) for line in self._lines[mark:])
            request_id = next((start[1] for start in starts if start), None)
            return request_id, "".join(self._lines)

    def note(self, line: str) -> None:
        """A line of Lambda's own, where no emulator writes it."""
        with self._news:
            self._lines.append(line)
            self._news.notify_all()
        with self.path.open("a") as file:
            file.write(line)

    def close(self) -> None:
        """Wait for the end of the stream, which comes when the last process that writes to it is gone."""
        self._reader.join(REPORT_WAIT_S)

    def _has(self, mark: int, needed: Sequence[re.Pattern[str]]) -> bool:
        return all(any(each.search(line) for line in self._lines[mark:]) for each in needed)

    def _read(self) -> None:
        with self.path.open("ab") as file, self._stream:
            for raw in self._stream:
                if _EMULATOR_CHATTER.match(line := raw.decode(errors="replace")):
                    continue
                if self._peak_mb and raw.startswith(REPORT):
                    raw = with_peak(raw, self._peak_mb())
                    line = raw.decode(errors="replace")
                file.write(raw)
                file.flush()
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
