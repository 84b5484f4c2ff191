"""The ancestor sample's way, for speech: pipeline at import; the sound is a WAV file of 16 kHz in base64."""

import base64
import io
import os
import wave

import numpy as np
from transformers import pipeline

nlp = pipeline("automatic-speech-recognition", model=os.environ["BENCH_MODEL"])


def handler(event, context):
    with wave.open(io.BytesIO(base64.b64decode(event["audio"]))) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32768
    return {"statusCode": 200, "body": nlp(samples)}
