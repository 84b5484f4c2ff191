"""The ancestor sample's way: pipeline at import, loaded by repo id from a warm cache."""

from transformers import pipeline

nlp = pipeline("sentiment-analysis", model="bench/distilbert-base")


def handler(event, context):
    return {"statusCode": 200, "body": nlp(event["text"])[0]}
