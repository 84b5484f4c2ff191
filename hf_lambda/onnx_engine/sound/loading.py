"""Which class answers which task of sound."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ...background import Future
from ..tokenizer import load_tokenizer
from .contract import SoundContract

if TYPE_CHECKING:
    from ...engines import Engine


def load(contract: SoundContract, prepared: Path) -> Engine:
    """Load the folder `prepared`."""
    # Beside the session, which lets go of the interpreter while it opens.
    reader = Future(lambda: import_module("soundfile")).start()
    engine = _engine(contract, prepared)
    reader.result()
    return engine


def _engine(contract: SoundContract, prepared: Path) -> Engine:
    if contract.whisper is not None:
        tokenizer = Future(lambda: load_tokenizer(prepared)).start()
        from ..generation.encoder_decoder import SpeechEncoderDecoder
        from .whisper import WhisperRecognition

        model = SpeechEncoderDecoder(prepared)
        return WhisperRecognition(model, contract.recipe, contract.whisper, tokenizer.result())
    from .model import SoundModel

    if contract.ctc is not None:
        from .ctc import CtcRecognition

        return CtcRecognition(SoundModel(contract, prepared), contract.ctc)
    from .classification import AudioClassification

    return AudioClassification(SoundModel(contract, prepared))
