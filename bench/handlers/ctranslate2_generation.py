"""CTranslate2 (int8), greedy."""

import os
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

folder = Path(os.environ["BENCH_CT2_LANGUAGE_MODELS"], Path(os.environ["BENCH_MODEL"]).name)
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
threads = 1 if os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "1769" else 2
generator = ctranslate2.Generator(str(folder), compute_type="int8", intra_threads=threads)


def handler(event, context):
    prompts, count = event["prompt"], event["max_new_tokens"]
    prompts = [prompts] if isinstance(prompts, str) else prompts
    results = generator.generate_batch(
        [tokenizer.encode(prompt).tokens for prompt in prompts],
        max_length=count,
        min_length=count,
        sampling_topk=1,
        include_prompt_in_result=False,
    )
    return {"statusCode": 200, "body": [tokenizer.decode(result.sequences_ids[0]) for result in results]}
