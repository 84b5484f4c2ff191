"""Sound of phones and browsers, where `av` is installed: decoded as libsndfile decodes the same tones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[3]
PROGRAM = r"""
import base64, io, json
import av, numpy as np
from hf_lambda.errors import Unprocessable
from hf_lambda.media.audio import Audio

RATE = 48_000
TIMES = np.arange(3 * RATE) / RATE
TONES = np.stack([0.4 * np.sin(2 * np.pi * 440 * TIMES), 0.2 * np.sin(2 * np.pi * 1000 * TIMES)])

def recorded(kind, codec, channels=2, streamed=False):
    file = io.BytesIO()
    options = {"live": "1"} if streamed else {}
    with av.open(file, "w", format=kind, options=options) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.layout = "stereo" if channels == 2 else "mono"
        stream.bit_rate = 128_000
        frame = av.AudioFrame.from_ndarray(TONES[:channels].astype(np.float32), "fltp", stream.layout.name)
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()

wanted = 0.5**0.5 * TONES.sum(0)[::3]
found = {}
for label, data in {
    "M4A": recorded("ipod", "aac"),
    "MP4": recorded("mp4", "aac"),
    "WebM": recorded("webm", "libopus"),
    "WebM streamed": recorded("webm", "libopus", streamed=True),
    "WMA": recorded("asf", "wmav2"),
    "AAC": recorded("adts", "aac"),
}.items():
    audio = Audio.from_json(base64.b64encode(data).decode())
    wave = audio.samples(16_000)
    # An encoder delays: the best place of a second from the middle.
    middle = wave[16_000:32_000]
    errors = [float(np.abs(middle - wanted[at : at + 16_000]).mean()) for at in range(13_000, 19_000)]
    refused = []
    for length in (40, len(data) // 2):
        try:
            Audio(data[:length]).samples(16_000)
        except Unprocessable as refusal:
            refused.append(refusal.message)
    found[label] = [audio.format, audio.rate, audio.channels, audio.seconds, min(errors), refused]
import os
os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = "1"
try:
    Audio(recorded("webm", "libopus", streamed=True))
except Unprocessable as refusal:
    found["large"] = refusal.message
print(json.dumps(found))
"""


def test_what_phones_and_browsers_record_is_heard_as_it_was(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--require-hashes", "--target"]
    subprocess.run([*install, tmp_path, "-r", ROOT / "requirements" / "av.txt"], check=True, timeout=120)
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "minutes; this function's memory allows" in found.pop("large")
    assert set(found) == {"M4A", "MP4", "WebM", "WebM streamed", "WMA", "AAC"}
    for label, (kind, rate, channels, seconds, error, refused) in found.items():
        assert kind == label.partition(" ")[0]
        assert (rate, channels) == (48_000, 2)
        assert seconds == pytest.approx(3, abs=0.15), label
        assert error < 0.03, (
            label,
            error,
        )  # of codecs, and of half a sample aside; the tones are 0.24 in the mean
        assert all(kind in message for message in refused), refused
