"""Families of models of sound that graphs are exported of. Standard library only."""

from __future__ import annotations

_WAVES = ("hubert", "wav2vec2", "wavlm")
FAMILIES = {
    "audio-classification": ("audio-spectrogram-transformer", *_WAVES, "whisper"),
    "automatic-speech-recognition": (*_WAVES, "whisper"),
}
"""`model_type`s by head whose graphs have been compared with transformers."""
