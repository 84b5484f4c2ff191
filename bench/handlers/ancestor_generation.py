"""The ancestor sample's way: transformers' pipeline, in fp32 as transformers loaded everything then."""

import os

import torch
from transformers import pipeline

generate = pipeline("text-generation", model=os.environ["BENCH_MODEL"], dtype=torch.float32, device="cpu")


def handler(event, context):
    count = event["max_new_tokens"]
    prompts = event["prompt"]
    batch = {"batch_size": len(prompts)} if isinstance(prompts, list) else {}
    answer = generate(prompts, max_new_tokens=count, min_new_tokens=count, do_sample=False, **batch)
    return {"statusCode": 200, "body": answer}
