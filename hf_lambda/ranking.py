"""text-ranking: documents by how well they answer a query, as sentence-transformers' CrossEncoder does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UntrainedHead
from .limits import characters, chunks
from .records import Json
from .sentence_embedding import (
    ACTIVATIONS,
    EmbeddingRules,
    NotUnderstood,
    activated,
    read_json,
    read_modules,
    read_text_rules,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pair = tuple[str, str]
"""A query and one document."""
_OWN_MODEL_TYPE = "CrossEncoder"
OLD = "it was prepared before this was known; warm it again"
_FUNCTIONS = {"sigmoid": "Sigmoid", "none": "Identity"}


@dataclass(frozen=True)
class RankingRules:
    """How a pair of texts becomes a score."""

    activation: str = "Sigmoid"
    """What is made of the model's one output."""
    texts: EmbeddingRules = field(default_factory=EmbeddingRules)
    """How texts are cut and written; its default prompt goes before the query."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> RankingRules:
        return cls(document["activation"], EmbeddingRules.from_json(document["texts"]))

    def to_json(self) -> dict[str, Json]:
        return {"activation": self.activation, "texts": self.texts.to_json()}

    @property
    def prompt(self) -> str:
        return (self.texts.prompts or {}).get(self.texts.default_prompt or "", "")

    def limit(
        self, parameters: Mapping[str, Json], tokenizer_max: int | None, max_position: int | None
    ) -> int | None:
        """Tokens that a pair is cut to; None: it is not cut."""
        if parameters.get("truncation") in (False, "do_not_truncate"):
            return None
        asked = parameters.get("max_length") or self.texts.max_length
        known = (asked, max_position) if asked else (tokenizer_max, self.texts.table, max_position)
        return min((length for length in known if length), default=None)


def read_rules(snapshot: Path) -> RankingRules:
    """The rules of a repository whose model classifies sequences.

    Raises NotUnderstood where it ranks nothing, or by other means than those that are done here.
    """
    config = read_json(snapshot / "config.json", {})
    settings = read_json(snapshot / "config_sentence_transformers.json", {})
    if (labels := _labels(config)) != 1:
        raise NotUnderstood(f"its model gives {labels} scores for a pair of texts, a ranking needs one")
    kind = settings.get("model_type", _OWN_MODEL_TYPE)
    if kind != _OWN_MODEL_TYPE:
        raise NotUnderstood(f"it is a {kind} of sentence-transformers, not a {_OWN_MODEL_TYPE}")
    modules = [kind for kind, _ in read_modules(snapshot) or [("Transformer", "")]]
    if modules != ["Transformer"]:
        raise NotUnderstood(f"its modules are {', '.join(modules)}; a Transformer alone is done here")
    texts = read_text_rules(snapshot)
    if texts.default_prompt not in (None, *(texts.prompts or {})):
        raise NotUnderstood(f"its default prompt {texts.default_prompt!r} is none of its prompts")
    return RankingRules(_activation(config, settings), texts)


def not_a_ranker(problem: str) -> UntrainedHead:
    return UntrainedHead(
        f"{problem}: text-ranking needs a cross-encoder, for instance cross-encoder/ms-marco-MiniLM-L6-v2"
    )


def scores(logits: NDArray[Any], rules: RankingRules, function_to_apply: str | None) -> list[float]:
    """Scores of pairs, of the model's one output for each."""
    activation = _FUNCTIONS.get(function_to_apply or "", rules.activation)
    return [float(score) for score in activated(activation, logits)]


def rank(
    inputs: Sequence[Mapping[str, Json]],
    score: Callable[[Sequence[Pair]], Sequence[float]],
    parameters: Mapping[str, Json],
) -> list[Json]:
    """For each `{"query", "documents"}` its documents as `{"index", "score"}`, best first.

    `score` is called with pairs of all inputs together, in stretches of bounded size. Of equal ones the
    earlier comes first. With `return_documents` each has its document as it was given.
    """
    pairs = [(str(each["query"]), text_of(document)) for each in inputs for document in each["documents"]]
    scored = [number for some in chunks(pairs, characters) for number in score(some)]
    results: list[Json] = []
    for each in inputs:
        documents = each["documents"]
        own, scored = scored[: len(documents)], scored[len(documents) :]
        order = sorted(range(len(own)), key=lambda index, own=own: -own[index])  # type: ignore[misc]
        best: list[dict[str, Json]] = [
            {"index": index, "score": own[index]} for index in order[: parameters.get("top_n")]
        ]
        if parameters.get("return_documents"):
            best = [{**found, "document": documents[found["index"]]} for found in best]
        results.append(best)
    return results


def text_of(document: Json) -> str:
    """Of a document, which is a text or an object with one."""
    return str(document if isinstance(document, str) else document["text"])


def _activation(config: Mapping[str, Json], settings: Mapping[str, Json]) -> str:
    """As CrossEncoder finds it: of its own settings, else of the config, else the sigmoid."""
    newer, of_config = config.get("sentence_transformers"), config.get("sbert_ce_default_activation_function")
    if isinstance(newer, dict) and "activation_fn" in newer:
        of_config = newer["activation_fn"]
    for path in (settings.get("activation_fn"), of_config):
        # A path to other code is run by nobody: CrossEncoder takes the default then.
        if isinstance(path, str) and path.startswith("torch."):
            name = path.rpartition(".")[2]
            if name not in ACTIVATIONS:
                raise NotUnderstood(f"the activation {path} is none of {', '.join(ACTIVATIONS)}")
            return name
    return "Sigmoid"


def _labels(config: Mapping[str, Json]) -> int:
    """How many outputs transformers gives a model of this config."""
    names = config.get("id2label")
    if isinstance(names, dict):
        return len(names)
    count = config.get("num_labels")
    return count if isinstance(count, int) else 2
