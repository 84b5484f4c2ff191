"""Time a handler inside its own process, warm: what Lambda bills, without the emulator's HTTP around it.

`python -m bench.warm <module> <events file> <repeats>` prints {"<event>": [seconds, ...]}.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace


def main(module: str, events: Path, repeats: int) -> None:
    handler = importlib.import_module(module).handler
    context = SimpleNamespace(aws_request_id="bench", get_remaining_time_in_millis=lambda: 600_000)
    seconds: dict[str, list[float]] = {}
    for name, event in json.loads(events.read_text()).items():
        timed = seconds.setdefault(name, [])
        for turn in range(repeats + 1):
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                answer = handler(event, context)
            if answer["statusCode"] != 200:
                raise SystemExit(f"{module}: {name}: {answer}")
            if turn:  # the first call of each shape only warms up
                timed.append(time.perf_counter() - started)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
