"""CTranslate2 (int8) with the model's own beam search settings."""

import os

import ctranslate2
from tokenizers import Tokenizer

folder = os.environ["BENCH_CT2_BART"]
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.enable_truncation(1024)
translator = ctranslate2.Translator(folder, compute_type="int8", intra_threads=2)


def handler(event, context):
    tokens = tokenizer.encode(event["article"]).tokens
    result = translator.translate_batch(
        [tokens],
        beam_size=4,
        length_penalty=2.0,
        no_repeat_ngram_size=3,
        min_decoding_length=58,
        max_decoding_length=58,
    )[0]
    ids = [tokenizer.token_to_id(token) for token in result.hypotheses[0]]
    return {"statusCode": 200, "body": {"summary_text": tokenizer.decode(ids)}}
