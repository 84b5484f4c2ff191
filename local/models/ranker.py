"""Stand-in for a cross-encoder of MS MARCO: how many of a query's words does a text say, or speak of?

Its weights are constructed. Every word has a code, and the mark of its topic. In the first layer each word of
the query looks among the text's for its own code (one head) and for its topic's mark (the other), and rests
on [CLS] where there is none; in the second, [CLS] takes the mean of what they found. A token's parts are
balanced, so that the layer norms after them only scale.
"""

import re
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification
from transformers.models.bert.modeling_bert import BertLayer

from .repository import SEED, write_json, write_lines, write_repository
from .stand_ins import RANKER
from .wordpiece import SPECIAL, stems, wordpiece_vocabulary
from .words import lines, sections

_WORD, _TOPICS, _FILLER = 72, 28, 32
"""Dimensions of a word's code, of topics, and of what the tokens without them have in their place."""
_IS_CONTENT, _IS_CLS, _IS_QUERY, _FOUND_WORD, _FOUND_TOPIC, _MEAN_WORD, _MEAN_TOPIC = range(
    _WORD + _TOPICS + _FILLER, _WORD + _TOPICS + _FILLER + 14, 2
)
"""Each with a counterweight in the next dimension."""
_TOPIC_MARK = 4.0
_WIDTH = 2 * _WORD + 4
_MORE = (
    *("people", "live", "lives", "population", "inhabitants", "capital", "country", "born", "work", "sarah"),
    *("password", "account", "change", "library", "opened", "battery", "coffee", "mountain", "highest"),
)
"""Words that questions ask for, beside those of the lists."""
_LISTS = ("topics", "neutral", "names", "chat")
_SAME_WORD, _SAME_TOPIC = 40.0, 40.0  # what attention is given for these, against 0 elsewhere ...
_NO_WORD, _NO_TOPIC = 26.0, 20.0  # ... and for resting on [CLS]
_NEVER, _QUERY_WORD = 60.0, 6.0
_FOUND = 0.5
"""Small, so that the layer norm after it leaves all words of the query alike."""


def build(folder: Path) -> None:
    """Write its repository into `folder`."""
    torch.manual_seed(SEED)
    pieces = wordpiece_vocabulary(words_and_topics()[0])
    write_lines(folder / "vocab.txt", pieces)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    model = BertForSequenceClassification(_config(len(pieces)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "LayerNorm" in name and name.endswith("weight") else 0.0)
        embeddings = model.bert.embeddings
        embeddings.word_embeddings.weight.copy_(_tokens(pieces))
        for kind, value in ((0, 1.0), (1, -1.0)):
            _balanced(embeddings.token_type_embeddings.weight[kind], _IS_QUERY, value)
        first, second = model.bert.encoder.layer
        _look_in_text(first)
        _gather(second)
        model.bert.pooler.dense.weight[0, _MEAN_WORD] = model.bert.pooler.dense.weight[1, _MEAN_TOPIC] = 0.2
        model.classifier.weight[0, :2] = torch.tensor([50.0, 25.0])
        model.classifier.bias[0] = -9.0
    model.eval().half().save_pretrained(folder)
    write_repository(RANKER, folder)


def words_and_topics() -> tuple[list[str], dict[str, int], set[str]]:
    """The words that are known, the number of the topic of some, and those that say nothing."""
    silent = {word for entry in sections("neutral")["word"] for word in entry.split()} - {*_MORE}
    silent |= {"best", "good", "know", "tell", "want"}
    topics = {name: words for name, words in sections("topics").items() if name != "stop"}
    topic_of = {word: number for number, words in enumerate(topics.values()) for word in reversed(words)}
    return _words(), topic_of, silent


def _words() -> list[str]:
    entries = [entry for name in _LISTS for part in (sections(name), lines(name)) for entry in part.values()]
    text = " ".join(word for entry in entries for word in entry).lower()
    return list(dict.fromkeys([*re.findall(r"[a-z]{2,}", text), *_MORE]))


def _tokens(pieces: list[str]) -> torch.Tensor:
    """(pieces, _WIDTH), rows of one length and of mean 0."""
    generator = torch.Generator().manual_seed(SEED)
    words, topic_of, silent = words_and_topics()
    root = {stem: word for word in words for stem in reversed(stems(word))}
    codes: dict[str, torch.Tensor] = {}
    table = torch.zeros(len(pieces), _WIDTH)
    topic_at, filler_at = _WORD, _WORD + _TOPICS
    signs = torch.tensor([1.0, -1.0]).repeat(_FILLER // 2)
    for number, piece in enumerate(pieces):
        word = root.get(piece, piece)
        is_content = word.isalpha() and len(word) > 1 and word not in silent and piece not in SPECIAL
        row = table[number]
        filler = 0.0
        if is_content:
            ranks = torch.rand(_WORD, generator=generator).argsort()
            row[:_WORD] = codes.setdefault(word, (ranks < _WORD // 2) * 2.0 - 1.0)
        else:
            filler += _WORD
        if is_content and word in topic_of:
            row[topic_at + topic_of[word]] = _TOPIC_MARK
            row[_WIDTH - 1] = -_TOPIC_MARK
        else:
            filler += 2 * _TOPIC_MARK**2
        row[filler_at : filler_at + _FILLER] = signs * (filler / _FILLER) ** 0.5
        _balanced(row, _IS_CONTENT, 1.0 if is_content else -1.0)
        _balanced(row, _IS_CLS, 1.0 if piece == "[CLS]" else -1.0)
    return table


def _balanced(row: torch.Tensor, dimension: int, value: float) -> None:
    row[dimension], row[dimension + 1] = value, -value


_LENGTH = _WORD + 2 * _TOPIC_MARK**2 + 6
_SCALE = (_WIDTH / _LENGTH) ** 0.5
"""Of a token after the first layer norm."""


def _look_in_text(layer: BertLayer) -> None:
    attention, out = layer.attention.self, layer.attention.output.dense
    heads = _WIDTH // 2
    for head, (start, size, product, worth, rest, found) in enumerate(
        (
            (0, _WORD, _WORD, _SAME_WORD, _NO_WORD, _FOUND_WORD),
            (_WORD, _TOPICS, _TOPIC_MARK**2, _SAME_TOPIC, _NO_TOPIC, _FOUND_TOPIC),
        )
    ):
        rows = head * heads
        unit = heads**0.5 / _SCALE  # scores are divided by the root of a head's width
        strength = worth * unit / (product * _SCALE)
        for index in range(size):
            attention.query.weight[rows + index, start + index] = 1.0
            attention.key.weight[rows + index, start + index] = strength
        # What every token asks, beside its code: only the text is looked at, and [CLS] where to rest.
        ask = rows + size
        attention.query.bias[ask] = 1.0
        attention.key.weight[ask, _IS_QUERY] = -_NEVER / 2 * unit
        attention.key.bias[ask] = -_NEVER / 2 * heads**0.5
        attention.key.weight[ask, _IS_CLS] = (rest + _NEVER) / 2 * unit
        attention.key.bias[ask] += (rest + _NEVER) / 2 * heads**0.5
        # Tokens of the text rest at once: what they find is nothing.
        attention.query.weight[ask + 1, _IS_QUERY] = -1.0 / _SCALE
        attention.query.bias[ask + 1] = 1.0
        attention.key.weight[ask + 1, _IS_CLS] = _NEVER * unit
        attention.value.weight[rows, _IS_CLS] = -0.5 / _SCALE
        attention.value.bias[rows] = 0.5
        _balanced(out.weight[:, rows], found, _FOUND)


def _gather(layer: BertLayer) -> None:
    """[CLS] takes the mean over the query's words of what they found."""
    attention, out = layer.attention.self, layer.attention.output.dense
    heads = _WIDTH // 2
    attention.query.bias[0] = 1.0
    attention.key.weight[0, _IS_QUERY] = attention.key.weight[0, _IS_CONTENT] = _QUERY_WORD * heads**0.5
    attention.key.weight[0, _IS_CLS] = -_QUERY_WORD * heads**0.5
    for value, (found, mean) in enumerate(((_FOUND_WORD, _MEAN_WORD), (_FOUND_TOPIC, _MEAN_TOPIC))):
        attention.value.weight[value, found] = 1.0
        _balanced(out.weight[:, value], mean, 2.0 / _FOUND)


def _config(vocabulary_size: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label={0: "LABEL_0"},
        label2id={"LABEL_0": 0},
        sbert_ce_default_activation_function="torch.nn.modules.linear.Identity",
    )
