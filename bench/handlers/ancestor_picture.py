"""The ancestor sample's way, for pictures: pipeline at import; the picture is a file in base64."""

import base64
import io
import os

from PIL import Image
from transformers import pipeline

nlp = pipeline(os.environ["BENCH_TASK"], model=os.environ["BENCH_MODEL"])


def handler(event, context):
    picture = Image.open(io.BytesIO(base64.b64decode(event["image"])))
    return {"statusCode": 200, "body": nlp(picture)}
