"""The ancestor sample's way, for the phrase that fits a picture: pipeline at import; a file in base64."""

import base64
import io
import os

from PIL import Image
from transformers import pipeline

nlp = pipeline("zero-shot-image-classification", model=os.environ["BENCH_MODEL"])


def handler(event, context):
    picture = Image.open(io.BytesIO(base64.b64decode(event["image"])))
    return {"statusCode": 200, "body": nlp(picture, candidate_labels=event["candidate_labels"])}
