"""Scripts of the three shapes that the AWS sample has run here, two of them with one line changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from discovery import ScriptError, read_scripts
from hf_lambda.tasks import DEFAULTS
from tests import tiny_encoders, tiny_seq2seq
from tests.warmup.support import Warming
from warmup.protocol.events import ModelEvent
from warmup.protocol.models import models_of_scripts

ROOT = Path(__file__).parents[2]
SHAPES = {
    "sentiment": ('nlp = pipeline("sentiment-analysis")', 'nlp(event["text"])[0]'),
    "summarization": ('summarizer = pipeline("summarization")', 'summarizer(event["text"])[0]'),
    "translation": ('translate = pipeline("translation_en_to_fr")', 'translate(event["text"])[0]'),
}
THEIRS, OURS = "from transformers import pipeline", "from hf_lambda import pipeline"
TEXTS = ["I love this.", "The city opened its library on Monday."]


def write(folder: Path, imports: str, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        made, body = SHAPES[name]
        answer = f'    response = {{"statusCode": 200, "body": {body}}}\n    return response\n'
        (folder / f"{name}.py").write_text(
            f"import json\n{imports}\n\n{made}\n\ndef handler(event, context):\n{answer}"
        )
    return folder


def test_a_task_that_transformers_dropped_is_answered_with_the_line_that_makes_it_work(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "inference", THEIRS, *SHAPES)
    with pytest.raises(ScriptError) as caught:
        read_scripts(folder)
    found = [problem.partition(": write ") for problem in caught.value.problems]
    assert [place for place, _, _ in found] == [
        'inference/summarization.py:4: transformers 5 has no "summarization" pipeline',
        'inference/translation.py:4: transformers 5 has no "translation_en_to_fr" pipeline',
    ]
    for name in ("summarization", "translation"):
        path = folder / f"{name}.py"
        path.write_text(path.read_text().replace(THEIRS, found[0][2].strip("`")))
    assert {script.name: script.pipelines[0].model for script in read_scripts(folder)} == {
        "sentiment": DEFAULTS["text-classification"][0],
        "summarization": DEFAULTS["summarization"][0],
        "translation": DEFAULTS["translation"][0],
    }


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Tiny models under the names of the well-known ones."""
    root = tmp_path / "models"
    torch.manual_seed(0)
    sentiment = root / DEFAULTS["text-classification"][0]
    tiny_encoders.build("distilbert", sentiment, labels=["NEGATIVE", "POSITIVE"])
    tiny_encoders.save_head(sentiment, AutoModelForSequenceClassification.__name__)
    tiny_seq2seq.build("bart", root / DEFAULTS["summarization"][0])
    tiny_seq2seq.build("t5", root / DEFAULTS["translation"][0])
    return root


@pytest.mark.slow
def test_scripts_of_the_sample_answer_from_the_warmed_cache_offline(warming: Warming, tmp_path: Path) -> None:
    folder = write(tmp_path / "inference", THEIRS, "sentiment")
    write(folder, OURS, "summarization", "translation")
    # What is prepared is compared with transformers elsewhere; here the script counts.
    wanted = [
        replace(model, uses=tuple(replace(use, engine="torch") for use in model.uses))
        for model in models_of_scripts(read_scripts(folder))
    ]
    state = warming.invoke("warm", *ModelEvent(models=tuple(wanted)).to_json()["models"])
    assert state["state"] == "done", state
    code = "import importlib, json, sys\n" + "\n".join(
        f"print(json.dumps([importlib.import_module({name!r}).handler({{'text': text}}, None) "
        f"for text in {TEXTS!r}]))"
        for name in SHAPES
    )
    variables = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "MODEL_CACHE": str(warming.cache),
        "HF_HUB_CACHE": str(warming.cache / "hub"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    variables.pop("HF_ENDPOINT")
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()[-3:]]
    keys = ({"label", "score"}, {"summary_text"}, {"translation_text"})
    for of_script, expected in zip(answers, keys, strict=True):
        assert [answer["statusCode"] for answer in of_script] == [200, 200]
        assert all(set(answer["body"]) == expected for answer in of_script)
