"""Tiny encoder-decoder models of every family, with tokenizers trained on the gate's own samples."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer
from transformers.convert_slow_tokenizer import generate_merges, import_protobuf

from warmup.prepare.samples import LONG, SENTENCES

FAMILIES = ("bart", "mbart", "mbart50", "pegasus", "t5", "flan-t5", "mt5", "marian", "m2m100", "nllb")
_TEXTS = [*SENTENCES, LONG]
_SIZES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 160,
}
_T5_SIZES = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
_T5_IDS = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
_BART_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}


def build(family: str, folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """Save a random model of `family` with its tokenizer in `folder`; `config` overrides its config."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = _TOKENIZERS[family](folder)
        tokenizer.save_pretrained(folder)
        # M2M100 counts its language tokens apart.
        vocabulary = max(len(tokenizer) - 1, *getattr(tokenizer, "lang_token_to_id", {"": 0}).values()) + 1
        model = random_model(family, vocabulary, seed=seed, **config)
        model.save_pretrained(folder)
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """For models this small, more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        yield
    torch.set_num_threads(before)


def random_model(family: str, vocabulary: int, *, seed: int = 0, **config: Any) -> Any:
    """A model whose answers vary: weights large enough that a token does not just repeat itself."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(seed)
    model = transformers.AutoModelForSeq2SeqLM.from_config(_config(family, vocabulary, config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # T5 does not scale its attention: at 0.5 it is so sharp that torch's own fp32 is 1e-4 off fp64.
            is_small = "shared" in name or "lm_head" in name or name.endswith("Attention.q.weight")
            spread = 0.15 if is_small else 0.5
            if parameter.requires_grad and parameter.dim() > 1:
                parameter.normal_(0, spread)
    return model.eval()


def _config(family: str, vocabulary: int, config: dict[str, Any]) -> Any:
    if family in ("t5", "flan-t5"):
        gated = (
            {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if family == "flan-t5" else {}
        )
        return transformers.T5Config(vocab_size=vocabulary, **{**_T5_SIZES, **_T5_IDS, **gated, **config})
    if family == "mt5":
        return transformers.MT5Config(vocab_size=vocabulary, **{**_T5_SIZES, **_T5_IDS, **config})
    sizes = {"vocab_size": vocabulary, **_SIZES}
    if family == "marian":
        pad = vocabulary - 1
        ids = {
            "pad_token_id": pad,
            "decoder_start_token_id": pad,
            "eos_token_id": 0,
            "forced_eos_token_id": 0,
        }
        return transformers.MarianConfig(**{**sizes, **ids, "bad_words_ids": [[pad]], **config})
    if family == "pegasus":
        ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "forced_eos_token_id": 1}
        return transformers.PegasusConfig(**{**sizes, **ids, "scale_embedding": True, **config})
    kind = {"bart": "Bart", "mbart": "MBart", "mbart50": "MBart", "m2m100": "M2M100", "nllb": "M2M100"}[
        family
    ]
    ids = {**_BART_IDS, "decoder_start_token_id": 2, "scale_embedding": family != "bart"}
    return getattr(transformers, f"{kind}Config")(**{**sizes, **ids, **config})


def _bart(folder: Path) -> Any:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(_TEXTS, 400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    trained.save_model(str(folder))
    merges = (folder / "merges.txt", folder / "vocab.json")
    tokenizer = transformers.BartTokenizer.from_pretrained(folder, model_max_length=128)
    for path in merges:
        path.unlink(missing_ok=True)
    return tokenizer


def _spm(path: Path, texts: list[str], kind: str = "unigram", size: int = 300) -> list[tuple[str, float]]:
    """Train a sentencepiece model into `path`; its (piece, score)s."""
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=file,
            model_type=kind,
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=0.98,
            minloglevel=2,
        )
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(path.read_bytes())
    return [(piece.piece, piece.score) for piece in proto.pieces]


def _pieces(folder: Path, kind: str = "unigram") -> tuple[list[tuple[str, float]], bytes]:
    path = folder / "trained.model"
    pieces = _spm(path, _TEXTS, kind)
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(path.read_bytes())
    path.unlink()
    return pieces[3:], proto.normalizer_spec.precompiled_charsmap


def _t5(folder: Path) -> Any:
    pieces, _ = _pieces(folder)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces]
    vocabulary += [(f"<extra_id_{index}>", 0.0) for index in range(99, -1, -1)]
    return transformers.T5Tokenizer(vocab=vocabulary, model_max_length=128)


def _pegasus(folder: Path) -> Any:
    pieces, charsmap = _pieces(folder)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<mask_1>", 0.0), ("<mask_2>", 0.0)]
    vocabulary += [(f"<unk_{index}>", 0.0) for index in range(2, 103)] + [("<unk>", 0.0), *pieces]
    return transformers.PegasusTokenizer(
        vocab=vocabulary, _spm_precompiled_charsmap=charsmap, model_max_length=128
    )


def _fairseq(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces]


def _mbart(folder: Path) -> Any:
    return transformers.MBartTokenizer(
        vocab=_fairseq(_pieces(folder)[0]), src_lang="en_XX", tgt_lang="ro_RO", model_max_length=128
    )


def _mbart50(folder: Path) -> Any:
    return transformers.MBart50Tokenizer(
        vocab=_fairseq(_pieces(folder)[0]), src_lang="en_XX", tgt_lang="ro_RO", model_max_length=128
    )


def _nllb(folder: Path) -> Any:
    pieces, _ = _pieces(folder, "bpe")
    names = [piece for piece, _ in _fairseq(pieces)]
    vocabulary = {piece: index for index, piece in enumerate(names)}
    merges = generate_merges(vocabulary, dict(pieces))
    return transformers.NllbTokenizer(vocab=vocabulary, merges=merges, model_max_length=128)


def _marian(folder: Path) -> Any:
    """Source and target have sentencepiece models of their own and one vocabulary, as Helsinki-NLP's have."""
    source = _spm(folder / "source.spm", [*SENTENCES[:11], LONG], size=200)
    target = _spm(folder / "target.spm", list(SENTENCES[11:]), size=200)
    words = sorted({piece for piece, _ in source[3:150] + target[3:]})
    vocabulary = ["</s>", "<unk>", *words, ">>fr<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(vocabulary)}))
    return transformers.MarianTokenizer(
        str(folder / "source.spm"),
        str(folder / "target.spm"),
        str(folder / "vocab.json"),
        source_lang="en",
        target_lang="fr",
        model_max_length=128,
    )


def _m2m100(folder: Path) -> Any:
    pieces = _spm(folder / "sentencepiece.bpe.model", _TEXTS, "bpe")
    names = [piece for piece, _ in _fairseq(pieces[3:])]
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
    return transformers.M2M100Tokenizer(
        str(folder / "vocab.json"),
        str(folder / "sentencepiece.bpe.model"),
        src_lang="en",
        tgt_lang="fr",
        model_max_length=128,
    )


_TOKENIZERS = {
    "bart": _bart,
    "mbart": _mbart,
    "mbart50": _mbart50,
    "pegasus": _pegasus,
    "t5": _t5,
    "flan-t5": _t5,
    "mt5": _t5,
    "marian": _marian,
    "m2m100": _m2m100,
    "nllb": _nllb,
}
