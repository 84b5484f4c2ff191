"""The warm-up: fills the model cache, prepares models for fast loading, asks every endpoint."""

import sys
from pathlib import Path

_INFERENCE = Path(__file__).parents[1] / "inference"
if _INFERENCE.is_dir():  # in the repository; in the image `serving` already lies beside this package
    sys.path.insert(0, str(_INFERENCE))
