"""EXAMPLE of a script: the card's own where it has one that fits, else a sentence in the model's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from discovery.example_files import picture
from hf_lambda.tasks import base_of

from ..protocol.records import Json
from .facts import ModelFacts
from .task import is_multilingual, source_language

_LONGEST = 2000
"""Characters of a text that is taken from a card."""


@dataclass(frozen=True)
class _Sentences:
    praise: str
    person: str
    where: str
    news: str
    capital: str
    """With {} in the place of the mask."""
    hello: str
    labels: tuple[str, str, str]


_ENGLISH = _Sentences(
    "I love this! It works wonderfully.",
    "My name is Sarah and I live in London.",
    "Where do I live?",
    "The city opened its new library on Monday. More than two thousand people came on the first day. "
    "The building has five floors, a garden on the roof and rooms where groups can meet.",
    "Paris is the {} of France.",
    "How are you?",
    ("technology", "sport", "politics"),
)
_BY_LANGUAGE = {
    "en": _ENGLISH,
    "de": _Sentences(
        "Das gefällt mir sehr! Es funktioniert wunderbar.",
        "Ich heiße Sarah und wohne in Berlin.",
        "Wo wohne ich?",
        "Die Stadt hat am Montag ihre neue Bibliothek eröffnet. Mehr als zweitausend Menschen kamen am "
        "ersten Tag. Das Gebäude hat fünf Stockwerke und einen Garten auf dem Dach.",
        "Paris ist die {} von Frankreich.",
        "Wie geht es dir?",
        ("Technik", "Sport", "Politik"),
    ),
    "fr": _Sentences(
        "J'adore ! Cela marche à merveille.",
        "Je m'appelle Sarah et j'habite à Paris.",
        "Où est-ce que j'habite ?",
        "La ville a ouvert lundi sa nouvelle bibliothèque. Plus de deux mille personnes sont venues le "
        "premier jour. Le bâtiment a cinq étages et un jardin sur le toit.",
        "Paris est la {} de la France.",
        "Comment vas-tu ?",
        ("technologie", "sport", "politique"),
    ),
    "es": _Sentences(
        "¡Me encanta! Funciona de maravilla.",
        "Me llamo Sara y vivo en Madrid.",
        "¿Dónde vivo?",
        "La ciudad abrió el lunes su nueva biblioteca. Más de dos mil personas vinieron el primer día. "
        "El edificio tiene cinco plantas y un jardín en el tejado.",
        "París es la {} de Francia.",
        "¿Cómo estás?",
        ("tecnología", "deporte", "política"),
    ),
    "it": _Sentences(
        "Lo adoro! Funziona a meraviglia.",
        "Mi chiamo Sara e vivo a Roma.",
        "Dove vivo?",
        "La città ha aperto lunedì la sua nuova biblioteca. Più di duemila persone sono venute il primo "
        "giorno. L'edificio ha cinque piani e un giardino sul tetto.",
        "Parigi è la {} della Francia.",
        "Come stai?",
        ("tecnologia", "sport", "politica"),
    ),
    "pt": _Sentences(
        "Adoro isto! Funciona muito bem.",
        "Chamo-me Sara e moro em Lisboa.",
        "Onde moro?",
        "A cidade abriu a sua nova biblioteca na segunda-feira. Mais de duas mil pessoas vieram no primeiro "
        "dia. O edifício tem cinco andares e um jardim no telhado.",
        "Paris é a {} da França.",
        "Como estás?",
        ("tecnologia", "desporto", "política"),
    ),
    "nl": _Sentences(
        "Ik vind dit geweldig! Het werkt prachtig.",
        "Ik heet Sara en ik woon in Amsterdam.",
        "Waar woon ik?",
        "De stad heeft maandag haar nieuwe bibliotheek geopend. Meer dan tweeduizend mensen kwamen op de "
        "eerste dag. Het gebouw heeft vijf verdiepingen en een tuin op het dak.",
        "Parijs is de {} van Frankrijk.",
        "Hoe gaat het?",
        ("technologie", "sport", "politiek"),
    ),
    "ru": _Sentences(
        "Мне это очень нравится! Всё прекрасно работает.",
        "Меня зовут Анна, и я живу в Москве.",
        "Где я живу?",
        "В понедельник в городе открылась новая библиотека. В первый день пришло больше двух тысяч человек. "
        "В здании пять этажей и сад на крыше.",
        "Париж — {} Франции.",
        "Как дела?",
        ("технологии", "спорт", "политика"),
    ),
    "zh": _Sentences(
        "我很喜欢！用起来非常好。",
        "我叫王芳，住在北京。",
        "我住在哪里？",
        "该市星期一开放了新图书馆。第一天有两千多人前来。大楼有五层，屋顶上有一个花园。",
        "巴黎是法国的{}都。",
        "你好吗？",
        ("科技", "体育", "政治"),
    ),
    "ja": _Sentences(
        "とても気に入りました。すばらしく動きます。",
        "私の名前はさくらで、東京に住んでいます。",
        "私はどこに住んでいますか。",
        "市は月曜日に新しい図書館を開いた。初日には二千人以上が訪れた。建物は五階建てで、屋上には庭園がある。",
        "パリはフランスの{}です。",
        "お元気ですか。",
        ("技術", "スポーツ", "政治"),
    ),
}
_CODES = {"nllb": ("eng_Latn", "fra_Latn"), "mbart": ("en_XX", "fr_XX"), "m2m": ("en", "fr")}
"""How families write English and French."""
_QUESTION = "What is the capital of France?"


def example_of(facts: ModelFacts, task: str) -> dict[str, Json] | None:
    """The event; None where the one that is made up from the handler's parameters does."""
    said = _BY_LANGUAGE.get(source_language(facts, task), _ENGLISH)
    base = base_of(task)
    for widget in facts.card.widget:
        if (event := _of_widget(facts, base, widget)) is not None:
            return event
    if base == "text-ranking":
        return {"query": said.where, "documents": [said.person, said.praise]}
    if base == "text-generation":
        if facts.has_chat_template:
            return {"messages": [{"role": "user", "content": _QUESTION}]}
        return {"prompt": "Once upon a time"}
    if base == "document-question-answering" and needs_word_boxes(facts):
        words = [["Total:", [100, 100, 300, 200]], ["42", [320, 100, 400, 200]]]
        return {"image": picture(), "question": "What is the total?", "word_boxes": words}
    if base == "decision":
        criteria = {"pets": "it speaks of animals", "music": "it speaks of songs"}
        question = {"type": "choice", "instructions": "What does the text speak of?", "criteria": criteria}
        return {"state": "A cat sat on the mat.", "questions": {"topic": question}}
    if is_multilingual(facts, task):
        source, target = _CODES[_dialect(facts)]
        return {"text": _ENGLISH.hello, "src_lang": source, "tgt_lang": target}
    made: dict[str, dict[str, Json]] = {
        "text-classification": {"text": said.praise},
        "token-classification": {"text": said.person},
        "question-answering": {"question": said.where, "context": said.person},
        "fill-mask": {"text": said.capital.format(facts.mask_token)},
        "feature-extraction": {"text": [said.praise, said.person, said.hello]},
        "zero-shot-classification": {"text": said.news, "candidate_labels": [*said.labels]},
        "summarization": {"article": said.news},
        "translation": {"text": said.hello},
        "text2text-generation": {"text": said.hello},
        "text-to-audio": {"text": said.hello},
        "zero-shot-audio-classification": {},
    }
    return made.get(base) or None


def needs_word_boxes(facts: ModelFacts) -> bool:
    """Whether the words of a page come with the request: nothing here reads them from the picture."""
    return facts.family.startswith("layoutlm")


def _dialect(facts: ModelFacts) -> str:
    tokenizer = str(facts.read("tokenizer_config.json").get("tokenizer_class") or "").lower()
    return next((name for name in _CODES if name in f"{tokenizer} {facts.repo_id.lower()}"), "m2m")


def _of_widget(facts: ModelFacts, base: str, widget: Mapping[str, Json]) -> dict[str, Json] | None:
    """An example of the model's page as an event; None where it is another task's, a file, or too long."""
    text, context = _text(widget.get("text")), _text(widget.get("context"))
    if base in ("text-classification", "token-classification", "text2text-generation", "text-to-audio"):
        return {"text": text} if text else None
    if base == "translation" and not is_multilingual(facts, base):
        return {"text": text} if text else None
    if base == "summarization":
        return {"article": text} if text else None
    if base == "fill-mask":
        return {"text": text} if text and facts.mask_token in text else None
    if base == "question-answering":
        return {"question": text, "context": context} if text and context else None
    if base == "zero-shot-classification":
        labels = widget.get("candidate_labels")
        parts = labels.split(",") if isinstance(labels, str) else labels
        chosen = [each.strip() for each in parts if _text(each)] if isinstance(parts, list) else []
        return {"text": text, "candidate_labels": chosen[:20]} if text and chosen else None
    if base == "feature-extraction":
        sentences = widget.get("sentences")
        first = _text(widget.get("source_sentence"))
        if first and isinstance(sentences, list) and all(map(_text, sentences)):
            return {"text": [first, *sentences[:9]]}
        return {"text": [text]} if text else None
    if base == "text-generation":
        return _of_chat(facts, widget.get("messages"), text)
    return None


def _of_chat(facts: ModelFacts, messages: Json, text: str | None) -> dict[str, Json] | None:
    if not facts.has_chat_template:
        return {"prompt": text} if text else None
    if isinstance(messages, list) and messages and all(map(_is_message, messages)):
        chosen = [{"role": each["role"], "content": each["content"]} for each in messages[:10]]
        return {"messages": chosen}
    return {"messages": [{"role": "user", "content": text}]} if text else None


def _is_message(message: Json) -> bool:
    return (
        isinstance(message, dict)
        and message.get("role") in ("system", "user", "assistant")
        and _text(message.get("content")) is not None
    )


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value.strip() and len(value) <= _LONGEST else None
