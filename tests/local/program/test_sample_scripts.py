"""Scripts of the AWS sample's three shapes, as they are: a task without a model, `nlp(event["text"])[0]`."""

import pytest

from discovery import ScriptError, read_scripts
from local.program.monitor import run
from tests.infra.program import loaded
from tests.local.program.test_program import tree

__all__ = ["tree"]
SAMPLE = """import json
from transformers import pipeline

nlp = pipeline("{task}")

def handler(event, context):
    response = {{
        "statusCode": 200,
        "body": nlp(event["text"])[0]
    }}
    return response
"""


def test_the_sample_s_sentiment_becomes_an_endpoint_with_torch(tree):
    assert loaded
    (tree / "inference/sentiment.py").write_text(SAMPLE.format(task="sentiment-analysis"))
    sentiment = next(function for function in run(tree).functions if function.name == "sentiment")
    assert (sentiment.command, sentiment.target) == ("sentiment.handler", "full")
    (script,) = read_scripts(tree / "inference")
    assert script.pipelines[0].model == "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    assert list(script.example) == ["text"]


@pytest.mark.parametrize("task", ["summarization", "translation_en_to_fr"])
def test_for_a_task_that_transformers_dropped_one_line_makes_it_work(tree, task):
    script = tree / "inference/sentiment.py"
    script.write_text(SAMPLE.format(task=task))
    with pytest.raises(ScriptError, match=r"sentiment\.py:4: .*write `from hf_lambda import pipeline`"):
        read_scripts(tree / "inference")
    script.write_text(script.read_text().replace("from transformers import", "from hf_lambda import"))
    (read,) = read_scripts(tree / "inference")
    assert read.pipelines[0].task == task and read.pipelines[0].model
