"""sentence-transformers, the usual choice for embeddings."""

import os

from sentence_transformers import SentenceTransformer

model = SentenceTransformer(os.environ["BENCH_MINILM"])


def handler(event, context):
    return {"statusCode": 200, "body": model.encode(event["text"], show_progress_bar=False).tolist()}
