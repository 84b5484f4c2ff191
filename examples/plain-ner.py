"""Names in a text, written for transformers alone: nothing of `hf_lambda` is needed."""

from transformers import pipeline

recognize = pipeline(
    "ner",
    model="dslim/bert-base-NER",
    aggregation_strategy="simple",
)


def handler(event, context):  # type: ignore[no-untyped-def]
    entities = recognize(event["text"])
    for entity in entities:
        entity["score"] = float(entity["score"])
    return {"statusCode": 200, "body": entities}
