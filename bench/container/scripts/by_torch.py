"""The sentiment endpoint by way of torch, which the full image has."""

from hf_lambda import endpoint, pipeline

classify = pipeline(
    "text-classification",
    model="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    revision="714eb0fa89d2f80546fda750413ed43d93601a13",
    engine="torch",
)


@endpoint
def handler(text: str | list[str]) -> object:
    return classify(text)
