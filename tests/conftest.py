"""What every test runs under."""

import os

# Tiny models gain nothing from a second thread; on a busy machine torch threads wait seconds for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
