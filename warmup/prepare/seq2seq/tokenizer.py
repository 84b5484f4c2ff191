"""Tokenizers that transformers runs on sentencepiece (Marian, M2M100), rebuilt for `tokenizers`."""

from __future__ import annotations

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import generate_merges, import_protobuf

from ...protocol.records import Json
from ..request import NotPrepared

HIDDEN = "\x00"
"""Before a piece that no text may become: a word of the target language, which the source has not."""
_UNIGRAM, _BPE = 1, 2  # sentencepiece's TrainerSpec.ModelType
_NORMAL = 1  # ModelProto.SentencePiece.Type
_USER_DEFINED = 4


def served_tokenizer(tokenizer: PreTrainedTokenizerBase) -> tuple[Tokenizer, int | None]:
    """`tokenizer` as `tokenizers` runs it, and the first id that is not the model's (None: all are).

    Raises NotPrepared for a tokenizer that cannot be rebuilt.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        copy = Tokenizer.from_str(backend.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy, None
    name = type(tokenizer).__name__
    if name == "MarianTokenizer" and not tokenizer.separate_vocabs:
        return _rebuilt(tokenizer, tokenizer.spm_files[0], dict(tokenizer.encoder))
    if name == "M2M100Tokenizer":
        ids = {**tokenizer.encoder, **tokenizer.lang_token_to_id}
        return _rebuilt(tokenizer, tokenizer.spm_file, ids)
    raise NotPrepared(f"{name} cannot be rebuilt without sentencepiece: write engine='torch'")


def _rebuilt(tokenizer: PreTrainedTokenizerBase, spm_file: str, ids: dict[str, int]) -> tuple[Tokenizer, int]:
    # The copy of the format that transformers reads with: a process that has seen two can read with neither.
    proto = import_protobuf().ModelProto()
    with open(spm_file, "rb") as file:  # noqa: PTH123 - protobuf wants the bytes, the path is transformers' own string
        proto.ParseFromString(file.read())
    kind, unknown = proto.trainer_spec.model_type, str(tokenizer.unk_token)
    if kind not in (_UNIGRAM, _BPE) or proto.trainer_spec.byte_fallback:
        raise NotPrepared(
            f"the sentencepiece model of {type(tokenizer).__name__} is of a kind that is not rebuilt"
        )
    pieces = {p.piece: p.score for p in proto.pieces if p.type in (_NORMAL, _USER_DEFINED)}
    specials = [str(token) for token in tokenizer.all_special_tokens]
    model = _unigram(pieces, ids, unknown, specials) if kind == _UNIGRAM else _bpe(pieces, ids, unknown)
    rebuilt = Tokenizer(model)
    rebuilt.normalizer = _normalizer(proto.normalizer_spec)
    rebuilt.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    rebuilt.decoder = decoders.Sequence(
        [decoders.Replace(HIDDEN, ""), decoders.Replace("▁", " "), decoders.Fuse()]
    )
    rebuilt.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return rebuilt, max(ids.values()) + 1


def _unigram(
    pieces: dict[str, float], ids: dict[str, int], unknown: str, specials: list[str]
) -> models.Unigram:
    """A piece's id is its place in the list: it follows the model's ids, what is missing comes after."""
    size = max(ids.values()) + 1
    table = [(f"{HIDDEN}{index}", 0.0) for index in range(size)]
    for piece, index in ids.items():
        table[index] = (piece, pieces[piece]) if piece in pieces else (HIDDEN + piece, 0.0)
    for token in specials:
        if token in ids:
            table[ids[token]] = (token, 0.0)
    table += [(piece, score) for piece, score in pieces.items() if piece not in ids]
    return models.Unigram(table, unk_id=ids[unknown], byte_fallback=False)


def _bpe(pieces: dict[str, float], ids: dict[str, int], unknown: str) -> models.BPE:
    after = max(ids.values()) + 1
    missing = [piece for piece in pieces if piece not in ids]
    vocabulary = {**ids, **{piece: after + place for place, piece in enumerate(missing)}}
    order = {piece: place for place, piece in enumerate(pieces)}
    merges = generate_merges(order, pieces)
    return models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True)


def _normalizer(spec: Json) -> normalizers.Sequence:
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(left=True, right=True), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence(steps)
