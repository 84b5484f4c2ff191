"""The ancestor sample's way, for a cross-encoder: text-classification of pairs, all in one batch."""

import os

from transformers import pipeline

nlp = pipeline("text-classification", model=os.environ["BENCH_MODEL"], function_to_apply="sigmoid")


def handler(event, context):
    pairs = [{"text": event["query"], "text_pair": document} for document in event["documents"]]
    scores = [found["score"] for found in nlp(pairs, batch_size=len(pairs), truncation=True)]
    best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    return {"statusCode": 200, "body": [{"index": index, "score": scores[index]} for index in best]}
