"""Stand-in for a static embedding: a vector for every word it knows, near those of the word's topic."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from .ranker import words_and_topics
from .repository import SEED, write_json, write_repository
from .stand_ins import TOKEN_VECTORS
from .wordpiece import SPECIAL, stems, wordpiece_vocabulary

_CODE, _TOPICS = 36, 28
"""Dimensions that are a word's own, and one for each topic."""
_TOPIC_SHARE = 5.0


def build(folder: Path) -> None:
    """Write its repository into `folder`."""
    words, topic_of, silent = words_and_topics()
    pieces = wordpiece_vocabulary(words)
    table = _table(pieces, words, topic_of, silent)
    save_file({"embeddings": table.half()}, folder / "model.safetensors", metadata={"format": "pt"})
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True})
    write_json(folder / "config.json", {"model_type": "model2vec", "hidden_dim": _CODE + _TOPICS})
    modules = (("StaticEmbedding", "."), ("Normalize", "1_Normalize"))
    (folder / "1_Normalize").mkdir(exist_ok=True)
    write_json(folder / "1_Normalize/config.json", {})
    lines = [
        f'  {{"idx": {index}, "name": "{index}", "path": "{path}", '
        f'"type": "sentence_transformers.models.{kind}"}}'
        for index, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    write_repository(TOKEN_VECTORS, folder)


def _table(pieces: list[str], words: list[str], topic_of: dict[str, int], silent: set[str]) -> torch.Tensor:
    """Words that say nothing, marks and endings weigh next to nothing in a mean."""
    generator = torch.Generator().manual_seed(SEED)
    root = {stem: word for word in words for stem in reversed(stems(word))}
    codes: dict[str, torch.Tensor] = {}
    table = torch.zeros(len(pieces), _CODE + _TOPICS)
    for number, piece in enumerate(pieces):
        word = root.get(piece, piece)
        code = codes.setdefault(word, torch.randn(_CODE, generator=generator))
        is_content = word.isalpha() and len(word) > 1 and word not in silent and piece not in SPECIAL
        table[number, :_CODE] = code if is_content else code * 0.02
        if is_content and word in topic_of:
            table[number, _CODE + topic_of[word]] = _TOPIC_SHARE
    return table
