"""CTranslate2 (int8) for the encoder, numpy for the classification head."""

import os

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

folder = os.environ["BENCH_CT2_DISTILBERT"]
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.enable_truncation(512)
tokenizer.no_padding()
encoder = ctranslate2.Encoder(folder, compute_type="int8", intra_threads=2)
head = np.load(f"{folder}/head.npz")


def handler(event, context):
    texts = event["text"] if isinstance(event["text"], list) else [event["text"]]
    output = encoder.forward_batch([e.ids for e in tokenizer.encode_batch(texts)])
    hidden = np.array(output.last_hidden_state)[:, 0]
    hidden = np.maximum(hidden @ head["pre_weight"].T + head["pre_bias"], 0)
    logits = hidden @ head["weight"].T + head["bias"]
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    scores = odds / odds.sum(-1, keepdims=True)
    return {"statusCode": 200, "body": [{"label": int(s.argmax()), "score": float(s.max())} for s in scores]}
