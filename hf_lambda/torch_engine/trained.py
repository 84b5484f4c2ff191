"""Whether the weights of a repository were trained for what loads them: transformers makes up the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..records import FlatRecord
from ..tasks import task_of_architecture

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CLASSIFIERS = (
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
)
"""Heads that call their weights by the same names, of the same shapes, and mean something else by each."""
_MOST_MISSING = 0.5
"""Share that may be missing of the body, or of one part of the head, before it is another model's.
transformers has parameters that no answer reads: a pooler, the first residual of DPT (its issue #28292)."""
_BODY = ""


@dataclass(frozen=True)
class Untrained(FlatRecord):
    """Weights that would be random, or mean something else.

    missing: their names. trained_as: the class that the repository names. trained_for: that class's task.
    other_head: they are there, for that other task.
    """

    missing: list[str]
    trained_as: str | None
    trained_for: str | None
    other_head: bool


def find_untrained(model: PreTrainedModel, missing_keys: Iterable[str]) -> Untrained | None:
    """What `model` lacks to answer; `missing_keys` is what its loading has reported. None: nothing."""
    name, prefix = type(model).__name__, f"{model.base_model_prefix}."
    trained_as = next(iter(getattr(model.config, "architectures", None) or []), None)
    is_body = model.base_model is model and task_of_architecture(name) == "feature-extraction"
    parts: dict[str, list[str]] = {}
    for parameter, _ in model.named_parameters():
        in_body = is_body or parameter.startswith(prefix)
        parts.setdefault(_BODY if in_body else parameter.partition(".")[0], []).append(parameter)
    lacking = set(missing_keys)
    absent = {part: sorted(lacking.intersection(names)) for part, names in parts.items()}
    untrained = {
        part: names for part, names in absent.items() if len(names) > _MOST_MISSING * len(parts[part])
    }
    head = sorted(name for part, names in untrained.items() if part != _BODY for name in names)
    other_head = not head and _is_another_classifier(trained_as, name)
    if other_head:
        head = sorted(name for part, names in parts.items() if part != _BODY for name in names)
    if not head and not untrained:
        return None
    trained_for = task_of_architecture(trained_as) if trained_as else None
    return Untrained(head or untrained[_BODY], trained_as, trained_for, other_head)


def _is_another_classifier(trained_as: str | None, name: str) -> bool:
    trained, wanted = (
        next((ending for ending in _CLASSIFIERS if (each or "").endswith(ending)), None)
        for each in (trained_as, name)
    )
    return trained is not None and wanted is not None and trained != wanted
