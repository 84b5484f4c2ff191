"""llama.cpp (Q8_0), greedy; its Python package takes one prompt after the other."""

import os
from itertools import islice
from pathlib import Path

from llama_cpp import Llama
from tokenizers import Tokenizer

folder = Path(os.environ["BENCH_LLAMA_CPP"], Path(os.environ["BENCH_MODEL"]).name)
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
threads = 1 if os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "1769" else 2
model = Llama(
    str(folder / "model.gguf"), n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False
)


def handler(event, context):
    prompts, min_new_tokens = event["prompt"], event["max_new_tokens"]
    prompts = [prompts] if isinstance(prompts, str) else prompts
    answers = []
    for prompt in prompts:
        tokens = model.generate(tokenizer.encode(prompt).ids, top_k=1, temp=0.0)
        answers.append(tokenizer.decode(list(islice(tokens, min_new_tokens))))
    return {"statusCode": 200, "body": answers}
