"""Stand-in for wav2vec2-base-960h: writes down what the voice of discovery/voice.py spells.

Its weights are constructed. The first convolution measures how loud each of the voice's tones is, every
20 ms, beside a constant: where that is all there is, nobody speaks. The second adds up the waves of a tone
and looks around: silence on both sides is the space between two words. The rest of the network passes this
on, and the head adds a letter's two tones.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from discovery.voice import HIGH_HZ, LETTERS, LOW_HZ, RATE, tones

from .repository import write_json, write_repository
from .stand_ins import SPELLER

_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS)
_TONES = (*LOW_HZ, *HIGH_HZ)
_STEP = 320
"""Samples from one token to the next, and that each looks at."""
_PHASES = 8
"""Waves of a tone, each a part of a turn after the other: some fit wherever the tone is in its turn."""
_SILENCE = len(_TONES) * _PHASES
"""Channel of the first convolution that is as loud whatever is heard: LayerNorm makes it stand out alone."""
_QUIET = 0.8
"""Loudness of that channel. What is heard has variance 1, so a letter's tones have about 1.2."""
_AROUND = 5
"""Steps that are silent between words; the pause after a letter has room for three."""
_BLANK, _SPACE = len(_TONES), len(_TONES) + 1
"""Channels after those of the tones, from the second convolution on."""
_WIDTH = 16


def build(folder: Path) -> None:
    """Write its repository into `folder`."""
    model = Wav2Vec2ForCTC(_config())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # `original1` has the direction of a weight and `original0` its length, which is to be 0.
            is_one = "norm" in name and name.endswith("weight")
            parameter.fill_(1.0 if is_one or name.endswith("original1") else 0.0)
        measure, gather = (layer.conv for layer in model.wav2vec2.feature_extractor.conv_layers)
        _measure_tones(measure)
        _gather(gather)
        model.wav2vec2.feature_projection.projection.weight.copy_(torch.eye(_WIDTH))
        _tell_letters(model.lm_head)
    model.eval().half().save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    with tempfile.TemporaryDirectory() as own:
        vocabulary = Path(own, "vocab.json")
        write_json(vocabulary, {token: number for number, token in enumerate(_TOKENS)})
        Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    write_repository(SPELLER, folder)


def _measure_tones(convolution: torch.nn.Conv1d) -> None:
    """Channels of a tone are its amplitude times the cosine of its turn, of each of the phases."""
    window = np.hanning(_STEP)
    turns = 2 * np.pi * np.arange(_STEP) / RATE
    waves = [
        window * np.cos(hertz * turns + 2 * np.pi * phase / _PHASES) * 2 / window.sum()
        for hertz in _TONES
        for phase in range(_PHASES)
    ]
    convolution.weight[:_SILENCE, 0] = torch.from_numpy(np.stack(waves)).float()
    convolution.bias[_SILENCE] = _QUIET  # type: ignore[index]


def _gather(convolution: torch.nn.Conv1d) -> None:
    """Loudness of the tones, of silence, and of silence all around, so that the loudest is what is said.

    After LayerNorm a letter's tones are some 3 each and silence 2; where all is silent, silence is
    `most`.
    """
    middle, most = _AROUND // 2, (_SILENCE + 1) ** 0.5
    for tone in range(len(_TONES)):
        waves = slice(tone * _PHASES, (tone + 1) * _PHASES)
        convolution.weight[tone, waves, middle] = 1 / 2.55  # the positive ones of 8 cosines add up to that
    convolution.weight[_BLANK, _SILENCE, middle] = 0.8
    # More than the blank if the mean of all steps is 92 % of the most it can be.
    slope = 4.0
    convolution.weight[_SPACE, _SILENCE] = slope / _AROUND
    convolution.bias[_SPACE] = (0.8 - slope * 0.92) * most  # type: ignore[index]


def _tell_letters(head: torch.nn.Linear) -> None:
    """Two channels, or one twice, for each token: LayerNorm took the same from all of them."""
    for letter in LETTERS:
        for hertz in tones(letter):
            head.weight[_TOKENS.index(letter), _TONES.index(hertz)] = 1.0
    head.weight[_TOKENS.index("<pad>"), _BLANK] = head.weight[_TOKENS.index("|"), _SPACE] = 2.0
    for token in ("<s>", "</s>", "<unk>"):
        head.bias[_TOKENS.index(token)] = -100.0


def _config() -> Wav2Vec2Config:
    return Wav2Vec2Config(
        vocab_size=len(_TOKENS),
        hidden_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        conv_dim=[_SILENCE + 1, _WIDTH],
        conv_kernel=[_STEP, _AROUND],
        conv_stride=[_STEP, 1],
        num_feat_extract_layers=2,
        feat_extract_norm="layer",
        conv_bias=True,
        num_conv_pos_embeddings=2,
        num_conv_pos_embedding_groups=1,
        layerdrop=0.0,
        apply_spec_augment=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
