"""The ancestor sample's sentiment script."""

from transformers import pipeline

nlp = pipeline(
    "sentiment-analysis",
    model="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    revision="714eb0fa89d2f80546fda750413ed43d93601a13",
)


def handler(event, context):  # type: ignore[no-untyped-def]
    return {"statusCode": 200, "body": nlp(event["text"])[0]}
