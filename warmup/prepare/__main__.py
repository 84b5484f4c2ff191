"""One step of a plan in a process of its own: `python -m warmup.prepare <work folder> <step>`."""

import sys
from pathlib import Path

from .steps import run_step

if __name__ == "__main__":
    run_step(Path(sys.argv[1]), sys.argv[2])
