"""Preparing static embeddings: the table as numpy reads it, checked against torch's EmbeddingBag."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from hf_lambda import static_embedding
from hf_lambda.sentence_embedding import WEIGHTS, NotUnderstood, read_static_rules, static_folder
from hf_lambda.torch_engine.loading import dense_weights
from hf_lambda.torch_engine.static import read_table

from ..protocol.errors import ErrorKind
from .request import NotPrepared, PrepareFailed, PrepareRequest, Verdict
from .samples import LONG, SENTENCES


def export(request: PrepareRequest, work: Path) -> None:
    """Write `static/`: vectors.npy, tokenizer.json, serving.json and the dense layers. Raises NotPrepared."""
    target = work / "static"
    target.mkdir(parents=True, exist_ok=True)
    try:
        folder = static_folder(request.snapshot) or request.snapshot
        rules, table = read_static_rules(request.snapshot), read_table(folder)
        weights = dense_weights(request.snapshot, rules)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except NotUnderstood as problem:
        raise NotPrepared(f"static embeddings: {problem}") from problem
    except Exception as error:  # tokenizers has no type of its own
        raise NotPrepared(f"static embeddings: its tokenizer cannot be read: {error}") from error
    if not np.isfinite(table.astype(np.float32)).all():
        raise PrepareFailed("the table of token vectors holds NaN or infinity", ErrorKind.UNUSABLE)
    if tokenizer.get_vocab_size() > len(table):
        raise NotPrepared(
            f"static embeddings: {tokenizer.get_vocab_size()} tokens, and vectors of {len(table)}"
        )
    tokenizer.no_padding()
    (target / "tokenizer.json").write_text(tokenizer.to_str())
    np.save(target / static_embedding.TABLE, table)
    if weights:
        np.savez(target / WEIGHTS, **weights)
    document = {"head": request.head, "model_type": "static", "embedding": rules.to_json()}
    (target / static_embedding.CONTRACT).write_text(json.dumps(document))


def check(request: PrepareRequest, work: Path) -> Verdict:
    """Means of the samples against torch's, of the table as the repository has it."""
    folder = static_folder(request.snapshot) or request.snapshot
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(read_table(folder)).float(), mode="mean")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    samples = [str(sample) for sample in request.samples or (*SENTENCES, LONG)]
    encodings = tokenizer.encode_batch(samples, add_special_tokens=False)
    lengths = [len(encoding.ids) for encoding in encodings]
    ids = torch.tensor([each for encoding in encodings for each in encoding.ids], dtype=torch.long)
    offsets = torch.from_numpy(np.cumsum([0, *lengths[:-1]]))
    expected = bag(ids, offsets).numpy()
    made = np.array(static_embedding.load(work / "static")(samples, pooling="mean"))
    difference = float(np.abs(made - expected).max() / max(1.0, float(np.abs(expected).max())))
    figures = {"samples": len(samples), "raw_difference": round(difference, 8)}
    allowed = request.tolerance.fp32
    refused = None if difference <= allowed else f"raw_difference {difference:.2g}, allowed {allowed:g}"
    return Verdict(figures, refused)
