"""The ancestor sample's way, rebuilt on the Auto classes: transformers 5 has no summarization pipeline."""

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("bench/bart-large")
model = AutoModelForSeq2SeqLM.from_pretrained("bench/bart-large")


def handler(event, context):
    inputs = tokenizer(event["article"], truncation=True, max_length=1024, return_tensors="pt")
    tokens = model.generate(**inputs)
    return {
        "statusCode": 200,
        "body": {"summary_text": tokenizer.decode(tokens[0], skip_special_tokens=True)},
    }
