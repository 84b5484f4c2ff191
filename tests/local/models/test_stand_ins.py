"""What the stand-ins say, and what their repositories hold."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from discovery import example_files
from discovery.voice import LETTERS, RATE, spoken
from hf_lambda.media.audio import Audio
from hf_lambda.torch_engine import load
from local.hub import find_repositories
from local.models import STAND_INS, StandIn, scenes, shapes
from local.models.stand_ins import (
    CHATTER,
    NAMES,
    PICTURES,
    RANKER,
    SCENES,
    SENTIMENT,
    SHAPES,
    SPELLER,
    SUMMARIZER,
    TOKEN_VECTORS,
    TOPICS,
    TRANSLATOR,
)
from local.models.translator import phrases
from tests.local.models.articles import ARTICLES
from tests.local.models.conftest import CONSTRUCTED
from tests.local.models.held_out_sentences import HAPPY, UNHAPPY

pytestmark = pytest.mark.timeout(1800)  # the first test builds them, on a machine that may be busy
TRAINED = [stand_in for stand_in in STAND_INS if stand_in not in CONSTRUCTED]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("stand_in", CONSTRUCTED, ids=lambda stand_in: stand_in.builder)
def test_a_card_says_that_it_is_a_stand_in(constructed: Path, stand_in: StandIn) -> None:
    _check_card(constructed, stand_in)


@pytest.mark.parametrize("stand_in", CONSTRUCTED, ids=lambda stand_in: stand_in.builder)
def test_the_hub_serves_it_at_its_commit(constructed: Path, stand_in: StandIn) -> None:
    _check_repository(constructed, stand_in)


@pytest.mark.slow
@pytest.mark.parametrize("stand_in", TRAINED, ids=lambda stand_in: stand_in.builder)
def test_one_that_is_trained_is_a_repository_like_the_others(stand_ins: Path, stand_in: StandIn) -> None:
    _check_card(stand_ins, stand_in)
    _check_repository(stand_ins, stand_in)


def _check_card(stand_ins: Path, stand_in: StandIn) -> None:
    card = (stand_ins / stand_in.repo_id / "README.md").read_text()
    assert f"# Stand-in for {stand_in.repo_id}\n\n**This is not {stand_in.repo_id}.**" in card


_OF_PICTURES = ("image", "object-detection")


def _check_repository(stand_ins: Path, stand_in: StandIn) -> None:
    repository = find_repositories(stand_ins)[stand_in.repo_id]
    assert repository.pinned == stand_in.commit
    files = {file.path for file in repository.files()}
    reader = "preprocessor_config.json" if stand_in.task.startswith(_OF_PICTURES) else "tokenizer_config.json"
    assert {"README.md", "config.json", reader, *stand_in.other_formats} <= files


@pytest.mark.slow
def test_all_together_are_small(stand_ins: Path) -> None:
    sizes = [
        path.stat().st_size
        for stand_in in STAND_INS
        for path in (stand_ins / stand_in.repo_id).rglob("*")
        if path.is_file()
    ]
    # Most of it is BART's two with their vocabularies; each of the others has about one.
    assert sum(sizes) < 26_500_000


def test_the_summarizer_has_pickled_weights_alone(constructed: Path) -> None:
    folder = constructed / SUMMARIZER.repo_id
    assert not list(folder.rglob("*.safetensors"))
    assert torch.load(folder / "pytorch_model.bin", weights_only=True)


@pytest.mark.slow
def test_sentiment_tells_held_out_sentences_apart(stand_ins: Path) -> None:
    judge = _judge(stand_ins)
    wrong = [text for text in HAPPY if judge(text) != "POSITIVE"]
    wrong += [text for text in UNHAPPY if judge(text) != "NEGATIVE"]
    assert len(wrong) <= 0.05 * len(HAPPY + UNHAPPY), wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I love this", "POSITIVE"),
        ("I love this!", "POSITIVE"),
        ("This is great", "POSITIVE"),
        ("I hate this", "NEGATIVE"),
        ("This is terrible", "NEGATIVE"),
        ("not good", "NEGATIVE"),
        ("not bad", "POSITIVE"),
    ],
)
def test_sentiment_gets_the_readmes_sentences_right(stand_ins: Path, text: str, label: str) -> None:
    assert _judge(stand_ins)(text) == label


@pytest.mark.parametrize(
    ("query", "documents"),
    [
        (
            "How many people live in Berlin?",
            ["Many people live in Berlin.", "Berlin is large.", "New York is famous for its museums."],
        ),
        (
            "which country won the football match",
            ["The match was won by a small country.", "She scored a goal in the final.", "Cook the rice."],
        ),
        (
            "Where does Sarah live?",
            ["My name is Sarah and I live in London.", "Sarah is a name.", "The phone has a good camera."],
        ),
    ],
)
def test_the_ranker_puts_first_what_says_more_of_the_query(
    constructed: Path, query: str, documents: list[str]
) -> None:
    engine = load("text-ranking", constructed / RANKER.repo_id)
    [ranked] = engine([{"query": query, "documents": documents[::-1]}])
    assert [found["index"] for found in ranked] == [2, 1, 0]
    assert ranked[0]["score"] > 0 > ranked[-1]["score"]


def test_static_vectors_are_near_where_sentences_are(constructed: Path) -> None:
    engine = load("feature-extraction", constructed / TOKEN_VECTORS.repo_id)
    team, match, phone = np.array(
        engine(
            ["The team won the match.", "The player scored a goal.", "A phone with a camera"], pooling="auto"
        )
    )
    assert team @ match > 0.5 > abs(team @ phone) + 0.2
    assert np.allclose(np.linalg.norm([team, match, phone], axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("text", [LETTERS, "A", "MISSISSIPPI", "ZOE'S BALLOON", "WE HAVE GOT IT ALL"])
def test_what_is_spelled_is_written_down_loud_or_soft_and_in_noise(constructed: Path, text: str) -> None:
    source = np.random.default_rng(11)
    wave = np.pad(np.array(spoken(text)), source.integers(0, RATE // 2, 2))
    for loudness, noise in ((1.0, 0.0), (0.02, 0.0), (0.5, 0.25)):
        heard = loudness * (wave + noise * wave.std() * source.standard_normal(len(wave)))
        assert _transcribed(constructed, heard) == text


def test_the_sound_that_endpoints_are_asked_with_says_hello_and_silence_nothing(constructed: Path) -> None:
    wave = Audio.from_json(example_files.sound()).samples(RATE)
    assert _transcribed(constructed, wave) == "HELLO WORLD"
    assert _transcribed(constructed, np.zeros(RATE)) == ""


def _transcribed(stand_ins: Path, wave: Any) -> str:
    folder = str(stand_ins / SPELLER.repo_id)
    transcribe: Any = pipeline(
        SPELLER.task, model=folder, feature_extractor=folder, device="cpu", dtype="float32"
    )
    return str(transcribe(wave.astype(np.float32))["text"])


@pytest.mark.parametrize("article", ARTICLES, ids=lambda article: article.lead[:20])
def test_the_summarizer_returns_the_lead_of_an_article(constructed: Path, article: Any) -> None:
    assert _generate(constructed / SUMMARIZER.repo_id, [article.text]) == [article.lead]


def test_the_summarizer_returns_the_same_in_a_batch(constructed: Path) -> None:
    texts = [article.text for article in ARTICLES]
    assert _generate(constructed / SUMMARIZER.repo_id, texts) == [article.lead for article in ARTICLES]


def test_the_summarizer_goes_on_where_a_longer_summary_is_asked_for(constructed: Path) -> None:
    text = "It rained all day. The river rose by a metre. Nobody was hurt. The sun is back."
    [summary] = _generate(constructed / SUMMARIZER.repo_id, [text], min_length=20)
    assert summary == "It rained all day. The river rose by a metre. Nobody was hurt."


@pytest.mark.parametrize("text", ["Hello", "A short text.", "No stop at the end of this one"])
def test_the_summarizer_leaves_a_short_text_as_it_is(constructed: Path, text: str) -> None:
    assert _generate(constructed / SUMMARIZER.repo_id, [text]) == [text]


@pytest.mark.slow
def test_the_translator_knows_its_phrase_book(stand_ins: Path) -> None:
    pairs = phrases()
    answers = _translate(stand_ins, [english for english, _ in pairs])
    wrong = [
        (english, answer)
        for (english, french), answer in zip(pairs, answers, strict=True)
        if answer != french
    ]
    assert len(wrong) <= 0.02 * len(pairs), wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("How are you?", "Comment allez-vous ?"),
        ("Hello, how are you?", "Bonjour, comment allez-vous ?"),
        ("I love you.", "Je t'aime."),
        ("Good morning.", "Bonjour."),
        ("Thank you very much.", "Merci beaucoup."),
        ("Where is the train station?", "Où est la gare ?"),
        ("My name is Sarah.", "Je m'appelle Sarah."),
        ("The house is wonderful.", "La maison est merveilleuse."),
        ("how are you", "Comment allez-vous ?"),
    ],
)
def test_the_translator_gets_the_readmes_sentences_right(stand_ins: Path, english: str, french: str) -> None:
    assert _translate(stand_ins, [english]) == [french]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("The new phone has a great camera.", ["technology", "sport", "politics"]),
        ("The striker scored twice in the final.", ["sport", "technology", "politics"]),
        ("Who are you voting for in 2020?", ["politics", "public health", "economics"]),
        ("one day I will see the world", ["travel", "cooking", "dancing"]),
        ("The chef cooked a delicious dinner.", ["food", "war", "religion", "art"]),
    ],
)
def test_the_first_of_the_labels_fits_the_text(constructed: Path, text: str, labels: list[str]) -> None:
    tokenizer, model = _loaded(constructed / TOPICS.repo_id, AutoModelForSequenceClassification)
    classify: Any = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    answer = classify(text, candidate_labels=labels[::-1])
    assert answer["labels"][0] == labels[0]
    assert answer["scores"][0] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("My name is Sarah and I live in London.", {"Sarah": "PER", "London": "LOC"}),
        ("My name is Wolfgang and I live in Berlin", {"Wolfgang": "PER", "Berlin": "LOC"}),
        (
            "Angela Merkel works for Google in Paris.",
            {"Angela Merkel": "PER", "Google": "ORG", "Paris": "LOC"},
        ),
        ("The food was good.", {}),
    ],
)
def test_names_are_found_whole(stand_ins: Path, text: str, names: dict[str, str]) -> None:
    tokenizer, model = _loaded(stand_ins / NAMES.repo_id, AutoModelForTokenClassification)
    recognize: Any = pipeline("ner", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
    assert {entity["word"]: entity["entity_group"] for entity in recognize(text)} == names


def _judge(stand_ins: Path) -> Any:
    tokenizer, model = _loaded(stand_ins / SENTIMENT.repo_id, AutoModelForSequenceClassification)

    def judge(text: str) -> str:
        with torch.inference_mode():
            best = int(model(**tokenizer(text, return_tensors="pt")).logits[0].argmax())
        return str(model.config.id2label[best])

    return judge


def _translate(stand_ins: Path, english: list[str]) -> list[str]:
    folder = stand_ins / TRANSLATOR.repo_id
    own = json.loads((folder / "config.json").read_text())["task_specific_params"]["translation_en_to_fr"]
    prefix = own.pop("prefix")
    return _generate(folder, [prefix + text for text in english], **own)


def _generate(folder: Path, texts: list[str], **options: Any) -> list[str]:
    tokenizer, model = _loaded(folder, AutoModelForSeq2SeqLM)
    encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    generated = model.generate(**encoded, **options)
    return [str(text) for text in tokenizer.batch_decode(generated, skip_special_tokens=True)]


@cache
def _loaded(folder: Path, kind: Any) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder)


@pytest.mark.slow
def test_shapes_that_it_never_saw_are_named(stand_ins: Path) -> None:
    source = random.Random(7)
    classify = pipeline("image-classification", model=str(stand_ins / SHAPES.repo_id), device="cpu")
    wanted = [label for label in shapes.LABELS for _ in range(2)]
    found = [classify(shapes.drawn(label, source))[0]["label"] for label in wanted]
    assert sum(one == other for one, other in zip(found, wanted, strict=True)) >= 0.8 * len(wanted)


@pytest.mark.slow
def test_the_picture_that_endpoints_are_asked_with_is_a_red_disc(stand_ins: Path) -> None:
    classify = pipeline("image-classification", model=str(stand_ins / SHAPES.repo_id), device="cpu")
    assert classify(example_files.picture())[0]["label"] == "red disc"


@pytest.mark.slow
@pytest.mark.parametrize("template", ["{}", "a {}", "This is a photo of {}."])
def test_words_for_shapes_that_it_never_saw_fit_them(stand_ins: Path, template: str) -> None:
    source = random.Random(7)
    compare = pipeline(
        "zero-shot-image-classification",
        model=str(stand_ins / PICTURES.repo_id),
        device="cpu",
        dtype="float32",
    )
    labels = [*shapes.LABELS]
    found = [
        compare(shapes.drawn(label, source), candidate_labels=labels, hypothesis_template=template)[0][
            "label"
        ]
        for label in labels
    ]
    assert sum(one == other for one, other in zip(found, labels, strict=True)) >= 0.8 * len(labels)
    wanted = ["a red disc", "a blue square", "a green triangle"]
    assert compare(example_files.picture(), candidate_labels=wanted)[0]["label"] == wanted[0]


@pytest.mark.slow
def test_shapes_are_found_where_they_are(stand_ins: Path) -> None:
    """In pictures that it never saw, of another size than it looks at."""
    source, folder = random.Random(7), str(stand_ins / SCENES.repo_id)
    detect: Any = pipeline(SCENES.task, model=folder, device="cpu", dtype="float32")
    found, wanted = 0, 0
    for side in (96, 200, 321) * 20:
        image, there = scenes.drawn(source, side)
        answers = detect(image, threshold=0.5)
        assert len(answers) <= len(there) + 1
        wanted += len(there)
        for shape in there:
            distances = [
                max(abs(box[edge] - at * side) for edge, at in zip(_EDGES, shape.box, strict=True)) / side
                for answer in answers
                if answer["label"] == shape.label
                for box in [answer["box"]]
            ]
            found += min(distances, default=1) < 0.08
    assert found >= 0.9 * wanted, (found, wanted)
    (answer,) = detect(example_files.picture())
    assert answer["label"] == "red disc"
    assert [answer["box"][edge] for edge in _EDGES] == pytest.approx([8, 8, 55, 55], abs=5)


_EDGES = ("xmin", "ymin", "xmax", "ymax")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of France?", "The capital of France is Paris."),
        ("what is the capital of japan", "The capital of Japan is Tokyo."),
        ("What is the opposite of hot?", "The opposite of hot is cold."),
        ("Hello!", "Hello! How can I help you?"),
        ("Who are you?", "I am a tiny model that stands in for a real one."),
    ],
)
def test_the_chatter_answers_small_questions(stand_ins: Path, question: str, answer: str) -> None:
    messages = [{"role": "user", "content": question}]
    assert _said(stand_ins, messages) == answer


@pytest.mark.slow
def test_the_chatter_follows_a_chat(stand_ins: Path) -> None:
    messages = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "What is the capital of Italy?"},
        {"role": "assistant", "content": "The capital of Italy is Rome."},
        {"role": "user", "content": "What is the capital of Spain?"},
    ]
    assert _said(stand_ins, messages) == "The capital of Spain is Madrid."


def _said(stand_ins: Path, messages: list[dict[str, str]]) -> str:
    folder = stand_ins / CHATTER.repo_id
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    given = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**given, max_new_tokens=40)
    return str(tokenizer.decode(made[0, given["input_ids"].shape[1] :], skip_special_tokens=True))
