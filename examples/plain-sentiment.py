"""Is this text positive or negative? Written for transformers alone: nothing of `hf_lambda` is needed."""

from transformers import pipeline

classify = pipeline(
    "sentiment-analysis",
    model="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    revision="714eb0fa89d2f80546fda750413ed43d93601a13",
)


def handler(event, context):  # type: ignore[no-untyped-def]
    answers = classify(event["text"], truncation=event.get("truncation", False))
    return {"statusCode": 200, "body": answers[0]}
