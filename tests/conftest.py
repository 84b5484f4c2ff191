"""What every test runs under."""

import os

# Tiny models gain nothing from a second thread, and on a busy machine torch's threads wait for each other for seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
