"""Features of sound are those of transformers' feature extractors."""

from __future__ import annotations

import numpy as np
import pytest
import transformers

from hf_lambda.errors import Unprocessable
from hf_lambda.onnx_engine.sound.contract import SoundRecipe
from hf_lambda.onnx_engine.sound.features import Features
from tests.media_support import tones
from warmup.prepare.sound.recipe import recipe_of

WAVE2VEC = transformers.Wav2Vec2Config()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Whisper", {"chunk_length": 2}),
        ("Whisper", {"feature_size": 128, "chunk_length": 1}),
        ("AST", {"max_length": 150}),
        ("AST", {"num_mel_bins": 64, "max_length": 40, "do_normalize": False}),
        ("Wav2Vec2", {}),
        ("Wav2Vec2", {"do_normalize": False, "return_attention_mask": True}),
    ],
)
@pytest.mark.filterwarnings("ignore:At least one mel filter")  # of 128, as AST has them
@pytest.mark.parametrize("seconds", [0.0255, 0.5, 2.2])
def test_features_are_those_of_the_extractor(kind, options, seconds):
    extractor = getattr(transformers, f"{kind}FeatureExtractor")(**options)
    wave = tones(seconds, seed=3)
    made = extractor(wave, sampling_rate=16_000, return_tensors="np")
    wanted = made[extractor.model_input_names[0]][0]
    got = Features(recipe_of(extractor, WAVE2VEC, []))(wave)
    assert got.shape == wanted.shape and got.dtype == np.float32
    apart = np.abs(got - wanted)
    # Next to silence a logarithm is rounding: transformers' own ways are 3e-5 apart there.
    assert apart.mean() <= 1e-6 and apart.max() <= 3e-5


def test_a_sound_that_is_too_short_for_the_network_is_refused():
    features = Features(recipe_of(transformers.Wav2Vec2FeatureExtractor(), WAVE2VEC, []))
    assert features.recipe.least == 400
    with pytest.raises(Unprocessable, match=r"the sound is 0\.025 s long, the model needs 0\.025 s"):
        features(np.ones(399, np.float32))
    assert features(np.ones(400, np.float32)).shape == (400,)


def test_an_hour_is_made_in_parts_and_comes_out_the_same():
    recipe = SoundRecipe(kind="log-mel", rate=16_000, mels=8, fft=400, hop=160, window=16_000)
    wave = tones(35, seed=1)
    whole = Features(recipe)(wave, whole=True)
    assert whole.shape == (8, 3500)
    part = Features(recipe)(wave[: 16_000 * 20], whole=True)
    assert np.abs(whole[:, 200:1500] - part[:, 200:1500]).max() < 1e-5


def test_of_less_than_a_window_nothing_is_heard_as_in_transformers():
    wave = tones(0.02)  # of 400 samples, which a window has, 320
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=64, max_length=10)
    wanted = extractor(wave, sampling_rate=16_000, return_tensors="np")["input_values"][0]
    got = Features(recipe_of(extractor, WAVE2VEC, []))(wave)
    assert np.abs(got - wanted).max() <= 1e-6
