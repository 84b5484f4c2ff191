"""Time a handler inside its own process, warm: what Lambda bills, without the emulator's HTTP around it.

`python -m bench.warm <module> <events file> <repeats>` prints {"<event>": [seconds, ...]}. On one CPU they
are seconds of that CPU: what else the machine does meanwhile is not the handler's.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from hf_lambda.records import Json


def main(module: str, events: Path, repeats: int) -> None:
    clock = time.process_time if len(os.sched_getaffinity(0)) == 1 else time.perf_counter
    handler = importlib.import_module(module).handler
    context = SimpleNamespace(aws_request_id="bench", get_remaining_time_in_millis=lambda: 600_000)
    seconds: dict[str, list[float]] = {}
    for name, event in json.loads(events.read_text()).items():
        timed = seconds.setdefault(name, [])
        for turn in range(repeats + 1):
            started = clock()
            with contextlib.redirect_stdout(io.StringIO()):
                answer = handler(_varied(event, turn), context)
            if answer["statusCode"] != 200:
                raise SystemExit(f"{module}: {name}: {answer}")
            if turn:  # the first call of each shape only warms up
                timed.append(clock() - started)
    print(json.dumps(seconds))


def _varied(event: dict[str, Json], turn: int) -> dict[str, Json]:
    """Another prompt of the same length at every turn: a beginning that two share is not read twice."""
    if "prompt" not in event:
        return event
    prompts = event["prompt"] if isinstance(event["prompt"], list) else [event["prompt"]]
    others = [f"{chr(97 + (turn * len(prompts) + at) % 26)}{text[1:]}" for at, text in enumerate(prompts)]
    return {**event, "prompt": others if isinstance(event["prompt"], list) else others[0]}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
