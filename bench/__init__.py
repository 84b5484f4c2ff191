"""Every number that the README claims, by one command: `make bench`."""

import sys
from pathlib import Path

# `serving` is a top-level package wherever scripts run; here it lies in inference/.
sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
