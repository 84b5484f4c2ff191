"""Which task a model is to be served for: what was asked, else what its card says, else its architecture."""

from __future__ import annotations

import re

from hf_lambda import tasks
from hf_lambda.ranking import is_judge
from hf_lambda.tasks import base_of, canonical, head_of

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import Use
from ..worker.source import Snapshot
from ..worker.suitability import check_configs
from .facts import ModelFacts

_OF_TAG = {"sentence-similarity": "feature-extraction"}
"""Names of the Hub for tasks that have others here."""
_ANY_HEAD = ("feature-extraction", "image-feature-extraction", "decision")
"""Tasks that are answered without a head, or by one that every model of the kind has."""
_PAIR = re.compile(r"-([a-z]{2,3})-([a-z]{2,3})\Z")
_MULTILINGUAL = ("m2m_100", "mbart")
"""Families that are told in each request between which languages they translate."""


def choose_task(facts: ModelFacts, asked: str | None) -> str:
    """The task in the words of `pipeline(...)`. Raises WarmupError that says why there is none."""
    if facts.problem:
        raise WarmupError(ErrorKind.UNUSABLE, f"{facts.repo_id} {facts.problem}")
    named = asked or facts.card.task or ("feature-extraction" if facts.is_embedder else None)
    task = _OF_TAG.get(named or "", named) or facts.architecture_task
    if task is None:
        known = ", ".join(tasks.TASKS)
        message = (
            f"neither the card nor config.json of {facts.repo_id} says its task: TASK= is one of {known}"
        )
        raise WarmupError(ErrorKind.USAGE, message)
    try:
        task = canonical(task)
    except ValueError as problem:
        whose = "TASK" if asked else f"{facts.repo_id} says its task"
        library = f", its library {_plain(facts.card.library)}" if facts.card.library else ""
        text = f"{whose} is {_plain(task)}{library}: {_plain(str(problem), 600)}"
        raise WarmupError(ErrorKind.UNUSABLE, f"{text}. TASK= asks for another") from None
    task = _with_languages(facts, task)
    _check_head(facts, task)
    check_configs(facts.repo_id, Snapshot(facts.commit, facts.folder, facts.files), Use(task))
    return task


def is_multilingual(facts: ModelFacts, task: str) -> bool:
    return task == "translation" and facts.family in _MULTILINGUAL


def source_language(facts: ModelFacts, task: str) -> str:
    """Two letters of the language that the model reads; English where nobody says."""
    pair = tasks.languages(task)
    named = pair[0] if pair else next(iter(facts.card.languages), "en")
    return named.lower().partition("-")[0].partition("_")[0]


def has_labels(task: str) -> bool:
    """Whether answers are names of the model's own."""
    return base_of(task) in (
        *("text-classification", "token-classification", "image-classification", "audio-classification"),
        *("object-detection", "image-segmentation"),
    )


def other_translations(facts: ModelFacts, task: str) -> tuple[str, ...]:
    """What else config.json says that the model translates."""
    trained = _trained_translations(facts)
    return tuple(name for name in trained if name != task) if base_of(task) == "translation" else ()


def _trained_translations(facts: ModelFacts) -> tuple[str, ...]:
    specific = facts.config.get("task_specific_params")
    names = map(str, specific) if isinstance(specific, dict) else ()
    return tuple(name for name in names if tasks.languages(name))


def _with_languages(facts: ModelFacts, task: str) -> str:
    """`translation` as `translation_xx_to_yy`, where the model has one direction."""
    if task != "translation" or is_multilingual(facts, task):
        return task
    if trained := _trained_translations(facts):
        return trained[0]
    match, said = _PAIR.search(facts.repo_id.lower()), facts.card.languages
    if match:
        return f"translation_{match[1]}_to_{match[2]}"
    if len(said) == 2 and all(re.fullmatch("[A-Za-z]{2,3}", each) for each in said):
        return f"translation_{said[0]}_to_{said[1]}"
    if facts.family in ("t5", "mt5", "umt5"):
        message = f"{facts.repo_id} does not say between which languages it translates"
        raise WarmupError(ErrorKind.USAGE, f"{message}: write TASK=translation_en_to_fr, for instance")
    return task


def _check_head(facts: ModelFacts, task: str) -> None:
    """The name of the class tells what the weights were trained for; the warm-up looks at the weights."""
    trained = facts.architecture_task
    if trained is None or task in _ANY_HEAD or trained in ("feature-extraction", "mask-generation"):
        return
    head = head_of(task)
    try:
        fits = head_of(trained) == head
    except ValueError:
        fits = False
    both = {trained, task}
    # One class for several tasks: `ForConditionalGeneration` writes of texts, pictures and sound.
    writes = "text2text-generation" in both and both & {
        *(
            "image-text-to-text",
            "image-to-text",
            "automatic-speech-recognition",
            "document-question-answering",
        ),
        *("text-to-audio", "text-generation"),
    }
    is_speech = both == {"text-generation", "text-to-audio"}
    ranks = task == "text-ranking" and is_judge(facts.config)
    if not (fits or writes or is_speech or ranks or task in _SEVERAL_CLASSES):
        named = facts.config.get("architectures")
        what = f"{facts.repo_id} was trained for {trained} ({_plain(str(named))}), not for {task}"
        fix = f"name a model that was trained for {task}, or write TASK={trained}"
        raise WarmupError(ErrorKind.UNTRAINED_HEAD, f"{what}: {fix}")


_SEVERAL_CLASSES = (
    *("zero-shot-image-classification", "zero-shot-audio-classification", "zero-shot-object-detection"),
    *("keypoint-matching", "depth-estimation", "image-segmentation", "document-question-answering"),
    *("text-to-audio", "image-text-to-text"),
)
"""Tasks whose classes have names that tell too little."""


def _plain(text: str | None, most: int = 120) -> str:
    return plain(text or "", most)


def plain(text: str, most: int = 120) -> str:
    """What came from the Hub, for a terminal: one line, nothing that moves the cursor."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
