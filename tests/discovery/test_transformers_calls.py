"""Plain scripts: what transformers itself will load, by repository and revision."""

from __future__ import annotations

import pytest

from discovery import Declared, ScriptError, read_scripts

HANDLER = '\n\ndef handler(event, context):\n    return p(event["text"])\n'


def plain(task, model, revision=None):
    return Declared(task, model, revision, "torch", "auto", plain=True)


def declared(tmp_path, text):
    (tmp_path / "script.py").write_text(text + HANDLER)
    return read_scripts(tmp_path)[0].pipelines


def problems(tmp_path, text):
    with pytest.raises(ScriptError) as caught:
        declared(tmp_path, text)
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [
        'from transformers import pipeline\np = pipeline("ner", model="org/name")',
        'from transformers import pipeline as make\np = make(task="ner", model="org/name")',
        'from transformers.pipelines import pipeline\np = pipeline("ner", "org/name")',
        'import transformers\np = transformers.pipeline("ner", "org/name")',
        'import transformers as t\nM = "org/name"\np = t.pipeline("ner", M, device=0, anything=[1])',
        'import transformers.pipelines\np = transformers.pipelines.pipeline("ner", "org/name")',
        'def p():\n    from transformers import pipeline\n    return pipeline("ner", "org/name")',
        'from transformers import pipeline\np = pipeline("ner", "org/name", tokenizer="org/name")',
    ],
)
def test_a_pipeline_of_transformers_is_found(tmp_path, text):
    assert declared(tmp_path, text) == (plain("token-classification", "org/name"),)


def test_without_a_model_it_is_the_default_by_the_name_transformers_uses(tmp_path):
    text = 'from transformers import pipeline\np = pipeline("sentiment-analysis")'
    model = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    assert declared(tmp_path, text) == (plain("text-classification", model, "714eb0f"),)


def test_tasks_that_only_transformers_knows_are_found(tmp_path):
    text = 'from transformers import pipeline\np = pipeline("mask-generation", "org/vit", revision="v1")'
    assert declared(tmp_path, text) == (plain("mask-generation", "org/vit", "v1"),)


def test_a_tokenizer_of_another_repository_is_found_too(tmp_path):
    text = 'from transformers import pipeline\np = pipeline("ner", "org/name", tokenizer="org/words")'
    assert declared(tmp_path, text) == (
        plain("token-classification", "org/name"),
        plain("feature-extraction", "org/words"),
    )


def test_what_is_loaded_by_class_is_found_once_with_the_task_of_its_head(tmp_path):
    text = (
        "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n"
        'NAME = "org/t5"\n'
        'tokenizer = AutoTokenizer.from_pretrained(NAME, revision="v1")\n'
        'p = AutoModelForSeq2SeqLM.from_pretrained(NAME, revision="v1")\n'
    )
    assert declared(tmp_path, text) == (plain("text2text-generation", "org/t5", "v1"),)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("AutoModelForSequenceClassification", "text-classification"),
        ("BertForTokenClassification", "token-classification"),
        ("AutoModelForQuestionAnswering", "question-answering"),
        ("AutoModelForCausalLM", "text-generation"),
        ("BartForConditionalGeneration", "text2text-generation"),
        ("AutoModel", "feature-extraction"),
        ("AutoConfig", "feature-extraction"),
    ],
)
def test_the_class_tells_the_task(tmp_path, name, task):
    text = f'import transformers\np = transformers.{name}.from_pretrained("org/name")'
    assert declared(tmp_path, text) == (plain(task, "org/name"),)


def test_a_pipeline_around_a_loaded_model_tells_its_task(tmp_path):
    text = (
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline\n"
        'model = AutoModelForSequenceClassification.from_pretrained("org/mnli", revision="v1")\n'
        'tokenizer = AutoTokenizer.from_pretrained("org/mnli", revision="v1")\n'
        'p = pipeline("text-classification", model=model, tokenizer=tokenizer)\n'
    )
    assert declared(tmp_path, text) == (plain("text-classification", "org/mnli", "v1"),)


def test_a_folder_of_the_image_needs_no_warming(tmp_path):
    text = 'from transformers import AutoModel\np = AutoModel.from_pretrained("/opt/model")'
    assert declared(tmp_path, text) == ()


def test_from_pretrained_of_other_libraries_is_none_of_ours(tmp_path):
    text = 'from other import Model\np = Model.from_pretrained("org/name")\nq = p.from_pretrained("x")'
    assert declared(tmp_path, text) == ()


@pytest.mark.parametrize(
    "task", ["summarization", "translation_en_to_fr", "question-answering", "translation"]
)
def test_a_dropped_task_shows_the_line_that_fixes_it(tmp_path, task):
    (found,) = problems(tmp_path, f'from transformers import pipeline\np = pipeline("{task}", model="a/b")')
    assert found.endswith(
        f'script.py:2: transformers 5 has no "{task}" pipeline: write `from hf_lambda import pipeline`'
    )


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ('pipeline(model="a/b")', "name the task"),
        (
            'pipeline("mask-generation")',
            'name the model of "mask-generation": write model="org/name"',
        ),
        ('pipeline("ner", model=choose())', "`model=choose()` is not known before the script runs"),
        ("AutoModel.from_pretrained(choose())", "`model=choose()` is not known"),
        ("AutoModel.from_pretrained()", 'write from_pretrained("org/name")'),
        ('AutoModel.from_pretrained("a/b", revision=x)', "`revision=x` is not known"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_fix(tmp_path, call, problem):
    (found,) = problems(tmp_path, f"from transformers import AutoModel, pipeline\np = {call}")
    assert problem in found
