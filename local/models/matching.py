"""Weights that match: a BART that looks in a premise for words of the hypothesis' topic.

Every token has a code of its own, and those of a topic have its mark. Only the decoder works, at the last
token, in three layers: the first sees which tokens belong to the hypothesis (three </s> came before them,
with the one that BART's decoder starts with), the second gathers codes and marks of the hypothesis' words,
the third looks for the same ones in the premise. Where there are none, attention rests on <s>.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import BartForSequenceClassification
from transformers.models.bart.modeling_bart import BartAttention, BartDecoderLayer

MAX_TOPICS, CODE_DIMS, D_MODEL = 28, 60, 192
LAYERS, FFN_DIM = 3, 8

_WORD_DIMS = MAX_TOPICS + CODE_DIMS
_GATHERED = _WORD_DIMS  # what the hypothesis says: as many dimensions, after those of the token itself
_IS_EOS, _IS_BOS, _CONTENT, _EOS_SHARE, _HYPOTHESIS, _MATCH, _COUNTERWEIGHT = range(
    2 * _WORD_DIMS, 2 * _WORD_DIMS + 7
)

_TOPIC_MARK = 4.0
_ON = 20.0  # what attention is given for what it must look at, against 0 elsewhere
# What draws attention in the premise, and how much <s> does all the same.
_SAME_TOPIC, _SAME_WORD, _NOTHING = 13.0, 8.0, 10.0
_SCALE = D_MODEL**-0.5


@dataclass(frozen=True)
class Marks:
    """For each token of the vocabulary what it is about, and the two that delimit texts."""

    topics: Sequence[int | None]
    words: Sequence[str]
    """Tokens of the same word, however written, have one code."""
    content: Sequence[bool]
    bos: int
    eos: int


def set_weights(model: BartForSequenceClassification, marks: Marks, generator: torch.Generator) -> None:
    """Set every weight of a BartForSequenceClassification of the sizes above, with one attention head."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        model.model.shared.weight.copy_(_tokens(marks, generator))
        first, second, third = model.model.decoder.layers
        _find_hypothesis(first)
        _gather_hypothesis(second.self_attn)
        _look_in_premise(third.self_attn)
        head = model.classification_head
        head.dense.weight[0, _MATCH], head.dense.bias[0] = 3.0, -1.5
        head.out_proj.weight[:, 0] = torch.tensor([-4.0, 0.0, 4.0])  # contradiction, neutral, entailment


def _tokens(marks: Marks, generator: torch.Generator) -> torch.Tensor:
    """Shape (vocabulary, D_MODEL). Codes have mean 0 and one length, so layer norms hardly change them."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(marks.words))}
    ranks = torch.rand(len(numbers), CODE_DIMS, generator=generator).argsort(dim=1)
    codes = (ranks < CODE_DIMS // 2) * 2.0 - 1.0
    table = torch.zeros(len(marks.words), D_MODEL)
    table[:, MAX_TOPICS:_WORD_DIMS] = codes[[numbers[word] for word in marks.words]]
    table[:, _CONTENT] = torch.tensor(marks.content, dtype=torch.float)
    for token, topic in enumerate(marks.topics):
        if topic is not None:
            table[token, topic], table[token, _COUNTERWEIGHT] = _TOPIC_MARK, -_TOPIC_MARK
    table[marks.bos, _IS_BOS] = table[marks.eos, _IS_EOS] = 1.0
    return table


# What one flag measures after a layer norm, and a token's topic and code: they follow from the lengths above.
_FLAG = (D_MODEL / CODE_DIMS) ** 0.5


def _find_hypothesis(layer: BartDecoderLayer) -> None:
    """Give _HYPOTHESIS to its tokens.

    Attention sees <s> and the </s> so far: 1 of 2 are </s> in the premise, 3 of 4 in the hypothesis.
    """
    attention = layer.self_attn
    _draw(attention, 0, {_IS_EOS: _ON / _FLAG, _IS_BOS: _ON / _FLAG})
    attention.v_proj.weight[0, _IS_EOS] = 1 / _FLAG
    attention.out_proj.weight[_EOS_SHARE, 0] = 1.0
    layer.fc1.weight[0, _EOS_SHARE], layer.fc1.bias[0] = 200.0, -134.0
    layer.fc2.weight[_HYPOTHESIS, 0] = 1.0


def _gather_hypothesis(attention: BartAttention) -> None:
    """The mean over the hypothesis' words that say something."""
    _draw(attention, 0, {_HYPOTHESIS: _ON / 5, _CONTENT: _ON / _FLAG, _IS_EOS: -_ON * 2})
    for dim in range(_WORD_DIMS):
        attention.v_proj.weight[dim, dim] = 1.0
        attention.out_proj.weight[_GATHERED + dim, dim] = 1.0


def _look_in_premise(attention: BartAttention) -> None:
    for dim in range(_WORD_DIMS):
        # Products of a gathered value and a token's: of the marks, or of all the code's.
        product = (_TOPIC_MARK * 1.2) ** 2 if dim < MAX_TOPICS else CODE_DIMS * 1.2**2
        strength = _SAME_TOPIC if dim < MAX_TOPICS else _SAME_WORD
        attention.q_proj.weight[dim, _GATHERED + dim] = 1.0
        attention.k_proj.weight[dim, dim] = strength / (product * _SCALE)
    _draw(attention, _WORD_DIMS, {_HYPOTHESIS: -_ON, _IS_BOS: _NOTHING / _FLAG})
    attention.v_proj.weight[0, _CONTENT] = 1.0
    attention.out_proj.weight[_MATCH, 0] = 1.0


def _draw(attention: BartAttention, row: int, worth: dict[int, float]) -> None:
    """Whatever asks: tokens draw attention by these dimensions, so much per unit."""
    attention.q_proj.bias[row] = 1 / _SCALE
    for dim, amount in worth.items():
        attention.k_proj.weight[row, dim] = amount
