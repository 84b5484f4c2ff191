"""Models that make the local stack work without a network: tiny stand-ins, built on the spot."""

from .building import SENTENCE_MODEL, SENTENCE_MODEL_COMMIT, BuildError, build, sentence_model_folder
from .stand_ins import STAND_INS, StandIn

__all__ = [
    "SENTENCE_MODEL",
    "SENTENCE_MODEL_COMMIT",
    "STAND_INS",
    "BuildError",
    "StandIn",
    "build",
    "sentence_model_folder",
]
