"""OpenVINO on the converted model, with the `tokenizers` library around it."""

import os

import numpy as np
import openvino as ov
from tokenizers import Tokenizer

folder = os.environ["BENCH_OPENVINO"]
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.enable_truncation(512)
tokenizer.enable_padding()
model = ov.Core().compile_model(f"{folder}/model.xml", "CPU", {"PERFORMANCE_HINT": "LATENCY"})


def handler(event, context):
    texts = event["text"] if isinstance(event["text"], list) else [event["text"]]
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([e.ids for e in encoded], dtype=np.int64)
    mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
    logits = model([ids, mask])[0]
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    scores = odds / odds.sum(-1, keepdims=True)
    return {"statusCode": 200, "body": [{"label": int(s.argmax()), "score": float(s.max())} for s in scores]}
