"""An event to try each script with."""

from __future__ import annotations

import pytest

from discovery import ScriptError, read_scripts
from discovery.voice import RATE, spoken

IMPORT = "from typing import Literal\nfrom hf_lambda import endpoint, pipeline\n"


def example(tmp_path, text):
    (tmp_path / "script.py").write_text(text)
    return read_scripts(tmp_path)[0].example


def test_a_script_may_bring_its_own(tmp_path):
    text = 'TEXT = "hello"\nEXAMPLE = {"text": TEXT, "top_k": -2}\n\ndef handler(event, context): ...\n'
    assert example(tmp_path, text) == {"text": "hello", "top_k": -2}


@pytest.mark.parametrize("value", ["[1]", "{1: 2}", "make()", "{**other}"])
def test_an_example_that_is_no_event_is_refused(tmp_path, value):
    with pytest.raises(ScriptError, match=r'script.py:1: EXAMPLE is not an event: write EXAMPLE = \{"text"'):
        example(tmp_path, f"EXAMPLE = {value}\n\ndef handler(event, context): ...\n")


def test_required_parameters_get_a_value_of_their_type(tmp_path):
    text = (
        f'{IMPORT}p = pipeline("ner", model="org/name")\n\n@endpoint\n'
        "def handler(text: str | list[str], texts: list[str], n: int, yes: bool, share: float | None, more, "
        "*, word: str, top_k: int = 1): ...\n"
    )
    sentence = "My name is Sarah and I live in London."
    assert example(tmp_path, text) == {
        **dict.fromkeys(("text", "more"), sentence),
        "texts": [sentence],
        "n": 1,
        "yes": True,
        "share": 1.0,
        "word": sentence,
    }


@pytest.mark.parametrize(
    ("task", "model", "parameter", "start"),
    [
        ("summarization", "a/b", "article", "The city opened"),
        ("translation_en_to_fr", "a/b", "text", "How are you?"),
        ("fill-mask", "a/bert", "text", "The capital of France is [MASK]."),
        ("fill-mask", "a/xlm-roberta", "text", "The capital of France is <mask>."),
        ("question-answering", "a/b", "question", "Where do I live?"),
        ("zero-shot-classification", "a/b", "candidate_labels", ["technology"]),
        ("zero-shot-image-classification", "a/b", "candidate_labels", ["a red disc"]),
    ],
)
def test_the_task_and_the_name_choose_the_words(tmp_path, task, model, parameter, start):
    text = (
        f'{IMPORT}p = pipeline("{task}", model="{model}")\n\n@endpoint\ndef handler({parameter}: str): ...\n'
    )
    value = example(tmp_path, text)[parameter]
    assert value[: len(start)] == start


def test_a_plain_handler_tells_its_keys_by_reading_them(tmp_path):
    text = (
        "from transformers import pipeline\n"
        'p = pipeline("ner", model="org/name")\n\n'
        "def handler(event, context):\n"
        '    other["x"]\n'
        '    return p(event["text"], event["text"], event["question"])\n'
    )
    assert example(tmp_path, text) == {
        "text": "My name is Sarah and I live in London.",
        "question": "Where do I live?",
    }


def test_a_plain_handler_tells_its_keys_by_getting_them_without_a_default(tmp_path):
    text = (
        "from transformers import pipeline\n"
        'p = pipeline("text-classification", model="org/name")\n\n'
        "def handler(event, context):\n"
        '    other.get("x"), event.get("top_k", 5), event.get("min", default=1), event.get()\n'
        '    return p(event.get("question"), event.get("text"))\n'
    )
    assert list(example(tmp_path, text)) == ["question", "text"]


def test_a_handler_from_elsewhere_has_an_empty_event(tmp_path):
    assert example(tmp_path, "from _shared import handler\n") == {}


def test_a_picture_and_a_sound_are_made_for_handlers_that_take_files(tmp_path):
    from hf_lambda.media.audio import Audio
    from hf_lambda.media.image import Image

    event = example(
        tmp_path,
        f"{IMPORT}@endpoint\ndef handler(image: Image, audio: Audio | None, top_k: int = 5):\n    ...\n",
    )
    assert Image.from_json(event["image"]).pillow().getpixel((32, 32)) == (0xD0, 0x20, 0x20)
    assert Audio.from_json(event["audio"]).seconds == pytest.approx(len(spoken("HELLO WORLD")) / RATE)
    assert set(event) == {"image", "audio"}


MEDIA = (
    "import typing\nfrom typing import Annotated, Any, Optional, Union\n"
    "import hf_lambda\nfrom hf_lambda import Audio, Image, endpoint, pipeline\n"
)
IS_FILE = {"image-classification": "iVBORw", "automatic-speech-recognition": "UklGR"}
"""How base64 of a PNG and of a WAV begins."""


@pytest.mark.parametrize("task", IS_FILE)
@pytest.mark.parametrize(
    ("declaration", "in_a_list"),
    [
        ("{0}: Optional[{1}]", False),
        ("{0}: Union[{1}, str]", False),
        ("{0}: Annotated[{1}, 'file']", False),
        ("{0}: hf_lambda.{1}", False),
        ("{0}: '{1} | None'", False),
        ("*, top_k: int = 2, {0}: {1}", False),
        ("{0}: {1} | list[{1}]", False),
        ("{0}: list[{1}]", True),
        ("{0}: Optional[list[{1}]]", True),
        ("{0}: {1} | None = None", False),
        ("top_k: int = 2, *, {0}: list[{1}] = ()", True),
        ("{0}", False),
        ("{0}: str", False),
        ("{0}: Any", False),
    ],
)
def test_what_hears_or_sees_gets_a_file_however_it_is_declared(tmp_path, task, declaration, in_a_list):
    name, kind = ("image", "Image") if task.startswith("image") else ("audio", "Audio")
    text = f'{MEDIA}p = pipeline("{task}", model="org/name")\n\n@endpoint\n'
    event = example(tmp_path, f"{text}def handler({declaration.format(name, kind)}): ...\n")
    assert event.keys() == {name}
    [file] = event[name] if in_a_list else [event[name]]
    assert file.startswith(IS_FILE[task])


def test_a_plain_script_that_sees_gets_a_picture(tmp_path):
    text = 'from transformers import pipeline\np = pipeline("image-classification", model="org/name")\n'
    event = example(tmp_path, f'{text}def handler(event, context):\n    return p(event["image"])\n')
    assert event["image"].startswith(IS_FILE["image-classification"])
