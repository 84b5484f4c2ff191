"""Weights that copy: a BART that repeats its source up to the end of a sentence, whatever the text.

Every token has a code of +-1, every position one of cosines. The decoder's cross attention looks for the
position of its own step, takes the code of the token there and says it. The encoder marks where a sentence
begins (after . ! or ?, before a capital, not after "Mr."); there the decoder says that the text ends. Where
generation settings forbid what is due (no_repeat_ngram_size, min_length), a special token comes next in
line, and decoding drops it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import torch
from transformers import BartForConditionalGeneration
from transformers.models.bart.modeling_bart import BartAttention, BartEncoderLayer

TOKEN_DIMS, POSITION_DIMS = 96, 60
D_MODEL, HEADS, FFN_DIM = 192, 3, 16
_HEAD_DIM = D_MODEL // HEADS
_PER_HEAD = TOKEN_DIMS // HEADS

# Hidden states: the token's code, the position's, then these.
_dims = count(TOKEN_DIMS + POSITION_DIMS)
ENDS, OPENS, SHORTENS, IS_EOS, AFTER_END, AFTER_SHORT, BEGINS, CONSTANT = (next(_dims) for _ in range(8))
_SPARE = next(_dims)

_SHARPNESS = 4.0  # the position looked for outweighs all others by more than e**25
_SINK = 0.72  # how much </s> draws a step past the source's end, against the position looked for
_COPY, _STOP = 10.0, 3.3  # what cross attention adds to the step's own token: they decide which logit wins
_GATE = 8.0  # steepness of "after an end, before a capital and not after Mr"
_LOGIT_SCALE, _SPECIAL_LOGIT = 0.9, 14.5
_SPECIAL_MARK = 4.3


@dataclass(frozen=True)
class Marks:
    """What each token of the vocabulary says about sentences."""

    ends: Sequence[bool]
    opens: Sequence[bool]
    shortens: Sequence[bool]
    """Whether a full stop after it ends no sentence: Mr, Dr, a single capital."""
    special: Sequence[bool]
    """Dropped by decoding, and not the end of a text."""
    eos: int


def set_weights(model: BartForConditionalGeneration, marks: Marks, generator: torch.Generator) -> None:
    """Set every weight of a BartForConditionalGeneration with one layer a side and the sizes above."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        codes = _token_codes(marks, generator)
        model.model.shared.weight.copy_(codes)
        frequencies = _frequencies(model.config.max_position_embeddings, generator)
        for side in (model.model.encoder, model.model.decoder):
            # BART's position table begins with two rows that nothing uses.
            side.embed_positions.weight.copy_(_positions(side.embed_positions.weight.shape[0], frequencies))
            for module in side.modules():
                if isinstance(module, torch.nn.LayerNorm):
                    module.weight[CONSTANT] = 0
        _mark_sentences(model.model.encoder.layers[0], frequencies)
        _copy_by_position(model.model.decoder.layers[0], codes[marks.eos, :TOKEN_DIMS])


def _token_codes(marks: Marks, generator: torch.Generator) -> torch.Tensor:
    """Shape (vocabulary, D_MODEL). Codes have mean 0 and one length, so layer norms only scale them."""
    table = torch.zeros(len(marks.ends), D_MODEL)
    ranks = torch.rand(len(marks.ends), TOKEN_DIMS, generator=generator).argsort(dim=1)
    table[:, :TOKEN_DIMS] = (ranks < TOKEN_DIMS // 2) * 2.0 - 1.0
    for dim, flags in ((ENDS, marks.ends), (OPENS, marks.opens), (SHORTENS, marks.shortens)):
        table[:, dim] = torch.tensor(flags, dtype=torch.float)
    # Logits that nothing sways: below what is copied, above the rest, no two alike (that would be a tie).
    special = [token for token, flag in enumerate(marks.special) if flag]
    table[special, :TOKEN_DIMS] = 0.0
    # As long as the others all the same, in dimensions that nothing reads: layer norms divide by the length.
    filler = torch.tensor([1.0, -1.0]).repeat((D_MODEL - _SPARE) // 2)
    table[special, _SPARE:] = filler * (TOKEN_DIMS / len(filler)) ** 0.5
    table[special, CONSTANT] = _SPECIAL_MARK - 0.05 * torch.arange(len(special))
    table[marks.eos, IS_EOS] = 1.0
    return table


def _frequencies(positions: int, generator: torch.Generator) -> torch.Tensor:
    """Of many random sets the one whose positions are told apart best."""
    distances = torch.arange(1, positions + 2, dtype=torch.float)
    best, lowest = torch.empty(0), float("inf")
    for _ in range(60):
        candidate = torch.rand(POSITION_DIMS // 2, generator=generator) * torch.pi
        highest = float((distances[:, None] * candidate).cos().sum(dim=1).max())
        if highest < lowest:
            best, lowest = candidate, highest
    return best


def _positions(rows: int, frequencies: torch.Tensor) -> torch.Tensor:
    angles = torch.arange(rows)[:, None] * frequencies
    table = torch.zeros(rows, D_MODEL)
    table[:, TOKEN_DIMS : TOKEN_DIMS + POSITION_DIMS : 2] = angles.cos()
    table[:, TOKEN_DIMS + 1 : TOKEN_DIMS + POSITION_DIMS : 2] = angles.sin()
    return table


def _mark_sentences(layer: BartEncoderLayer, frequencies: torch.Tensor) -> None:
    """Look one and two tokens back, and set BEGINS where a sentence begins."""
    attention = layer.self_attn
    for head, (distance, flag, target) in enumerate([(1, ENDS, AFTER_END), (2, SHORTENS, AFTER_SHORT)]):
        _look(attention, head, frequencies, -distance)
        attention.v_proj.weight[head * _HEAD_DIM, flag] = 1.0
        attention.out_proj.weight[target, head * _HEAD_DIM] = 1.0
    for dim, sign in ((AFTER_END, 1.0), (OPENS, 1.0), (AFTER_SHORT, -1.0)):
        layer.fc1.weight[0, dim] = sign * _GATE
    # A flag is about 1.2 after the layer norms: two of them pass, one does not.
    layer.fc1.bias[0] = -1.5 * 1.2 * _GATE
    layer.fc2.weight[BEGINS, 0] = 1.0


def _copy_by_position(layer: BartEncoderLayer, eos_code: torch.Tensor) -> None:
    attention = layer.encoder_attn
    for head in range(HEADS):
        _look(attention, head, torch.zeros(POSITION_DIMS // 2), 0)
        sink = head * _HEAD_DIM + POSITION_DIMS
        attention.q_proj.bias[sink] = _SHARPNESS
        attention.k_proj.weight[sink, IS_EOS] = _SHARPNESS * _SINK * POSITION_DIMS / 2
        for offset in range(_PER_HEAD):
            dim = head * _PER_HEAD + offset
            attention.v_proj.weight[head * _HEAD_DIM + offset, dim] = 1.0
            attention.out_proj.weight[dim, head * _HEAD_DIM + offset] = _COPY
    attention.v_proj.weight[_PER_HEAD, BEGINS] = 1.0
    attention.out_proj.weight[:TOKEN_DIMS, _PER_HEAD] = _STOP * eos_code
    layer.final_layer_norm.weight.fill_(_LOGIT_SCALE)
    layer.final_layer_norm.weight[CONSTANT] = 0.0
    layer.final_layer_norm.weight[_SPARE:] = 0.0
    layer.final_layer_norm.bias[CONSTANT] = _SPECIAL_LOGIT


def _look(attention: BartAttention, head: int, frequencies: torch.Tensor, shift: int) -> None:
    """Let this head attend to the position `shift` away: a shift turns each pair of cosine and sine."""
    first = head * _HEAD_DIM
    for pair, angle in enumerate((frequencies * shift).tolist()):
        row, column = first + 2 * pair, TOKEN_DIMS + 2 * pair
        cosine, sine = torch.tensor(angle).cos(), torch.tensor(angle).sin()
        attention.q_proj.weight[row, column] = _SHARPNESS * cosine
        attention.q_proj.weight[row, column + 1] = -_SHARPNESS * sine
        attention.q_proj.weight[row + 1, column] = _SHARPNESS * sine
        attention.q_proj.weight[row + 1, column + 1] = _SHARPNESS * cosine
        attention.k_proj.weight[row, column] = _SHARPNESS
        attention.k_proj.weight[row + 1, column + 1] = _SHARPNESS
