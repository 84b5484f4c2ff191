"""What the Hub says of a model, before anything large is downloaded."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_lambda.manifest import repo_folder
from hf_lambda.records import read_file
from hf_lambda.sentence_embedding import NotUnderstood, read_rules, read_static_rules, static_folder
from hf_lambda.tasks import task_of_architecture

from ..protocol.models import Use
from ..protocol.records import Json
from ..worker.selection import select_for, weight_index
from ..worker.source import RemoteFile
from ..worker.suitability import config_problem

if TYPE_CHECKING:
    from ..worker.hub import HubSource

LARGEST_CONFIG_BYTES = 5_000_000
"""Of a file that is read for what it says. Tokenizers and vocabularies are not."""
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json")


@dataclass(frozen=True)
class Card:
    """What the authors say of the model; every text of it is anybody's."""

    task: str | None = None
    """The Hub's `pipeline_tag`."""
    library: str | None = None
    licence: str | None = None
    languages: tuple[str, ...] = ()
    widget: tuple[Mapping[str, Json], ...] = ()
    gated: str | None = None
    """How access is given, "auto" or "manual"; None: to everybody."""


@dataclass(frozen=True)
class ModelFacts:
    """A commit of a repository: its card, its files, and its configs, which lie in `folder`."""

    repo_id: str
    commit: str
    card: Card
    folder: Path
    files: tuple[RemoteFile, ...]
    """What the warm-up downloads; empty where `problem` says why it would not."""
    parameters: int | None = None
    """Numbers in the weights, where a safetensors file says it."""
    problem: str | None = None
    """Why the files cannot be a model of transformers."""

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(file.path for file in self.files)

    def read(self, name: str) -> Mapping[str, Json]:
        """A config as JSON; empty where there is none."""
        try:
            document = json.loads(read_file(self.folder / name))
        except (OSError, ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def config(self) -> Mapping[str, Json]:
        return self.read("config.json")

    @property
    def family(self) -> str:
        """`model_type`, as transformers calls it; empty where the config has none."""
        return str(self.config.get("model_type") or "")

    @property
    def architecture_task(self) -> str | None:
        """What the class answers that config.json names."""
        named = self.config.get("architectures")
        return task_of_architecture(str(named[0])) if isinstance(named, list) and named else None

    @property
    def labels(self) -> tuple[str, ...]:
        named = self.config.get("id2label")
        return tuple(map(str, named.values())) if isinstance(named, dict) else ()

    @property
    def is_embedder(self) -> bool:
        """Whether sentence-transformers made it."""
        return "modules.json" in self.names or self.card.library == "sentence-transformers"

    @property
    def is_static(self) -> bool:
        """Whether it is a table of token vectors, sentence-transformers' StaticEmbedding."""
        return static_folder(self.folder) is not None

    @property
    def embedding_problem(self) -> str | None:
        """Why its vectors cannot be made as its authors meant; None: they can."""
        try:
            (read_static_rules if self.is_static else read_rules)(self.folder)
        except (NotUnderstood, ValueError, TypeError, KeyError, AttributeError, OSError) as reason:
            return str(reason)
        return None

    @property
    def has_chat_template(self) -> bool:
        has_file = any(name.endswith(".jinja") for name in self.names)
        return has_file or bool(self.read("tokenizer_config.json").get("chat_template"))

    @property
    def mask_token(self) -> str:
        token = self.read("tokenizer_config.json").get("mask_token")
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str) and token.strip():
            return token.strip()
        return "<mask>" if any(name in self.family for name in ("roberta", "bart")) else "[MASK]"


def read_facts(source: HubSource, repo_id: str, revision: str | None, folder: Path) -> ModelFacts:
    """Ask the Hub; configs are downloaded below `folder`. Raises WarmupError where it says no."""
    stop = threading.Event()
    info = source.info(repo_id, revision, stop)
    commit = str(info.sha)
    said: dict[str, Json] = info.card_data.to_dict() if info.card_data else {}  # type: ignore[no-untyped-call]
    card = _card(said, info.pipeline_tag, info.gated)
    tree = source.tree(repo_id, commit, stop)
    snapshot = folder / "hub" / repo_folder(repo_id) / "snapshots" / commit

    def download(files: list[RemoteFile]) -> None:
        for file in files:
            source.download(repo_id, commit, file, folder / "hub", lambda _: None, stop)

    snapshot.mkdir(parents=True, exist_ok=True)
    download([file for file in tree if file.problem is None and _is_config(file)])
    reason = config_problem(repo_id, snapshot, {file.path for file in tree})
    if reason:
        return ModelFacts(repo_id, commit, card, snapshot, (), problem=reason)
    uses = [Use("feature-extraction")]
    files = select_for(repo_id, tree, uses)
    if (index := weight_index(files)) is not None:
        download([file for file in files if file.path == index and file.problem is None])
        files = select_for(repo_id, tree, uses, (snapshot / index).read_text(errors="replace"))
    return ModelFacts(repo_id, commit, card, snapshot, files, source.parameters(repo_id, commit, stop))


def _is_config(file: RemoteFile) -> bool:
    name = file.path.rpartition("/")[2]
    at_hand = file.path.count("/") == 0 or (file.path.count("/") == 1 and name == "config.json")
    is_json = name.endswith(".json") and not name.endswith(".index.json") and name not in _VOCABULARIES
    return at_hand and is_json and file.size <= LARGEST_CONFIG_BYTES


def _card(data: Mapping[str, Json], task: str | None, gated: object) -> Card:
    language, widget = data.get("language"), data.get("widget")
    languages = language if isinstance(language, list) else [language]
    licence = data.get("license_name") if data.get("license") == "other" else data.get("license")
    return Card(
        task=task if isinstance(task, str) else _text(data.get("pipeline_tag")),
        library=_text(data.get("library_name")),
        licence=_text(licence[0] if isinstance(licence, list) and licence else licence),
        languages=tuple(each for each in languages if isinstance(each, str)),
        widget=tuple(each for each in widget if isinstance(each, dict)) if isinstance(widget, list) else (),
        gated=gated if isinstance(gated, str) else None,
    )


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
