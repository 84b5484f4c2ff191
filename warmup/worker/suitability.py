"""Refuses a snapshot whose files cannot be a model, or that cannot answer its task though it would load.

Loading would say less of broken files, and transformers makes up what a repository lacks: a tokenizer of five
tokens, a head of random weights.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from hf_lambda.atomic import replace_text
from hf_lambda.manifest import NotComparedEntry, repo_folder
from hf_lambda.ranking import not_a_ranker, read_rules
from hf_lambda.records import read_file
from hf_lambda.repo_id import is_repo_id
from hf_lambda.sentence_embedding import NotUnderstood, read_static_rules, static_folder
from hf_lambda.tasks import base_of
from hf_lambda.torch_engine.trained import Untrained

from ..prepare.recipe import child_environment
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import ModelRequest, Use
from ..protocol.records import Json, Record, WrongShape
from .jobs import Job, OutOfTime
from .logs import log
from .source import Snapshot

SMALLEST_SHARE = 0.1
"""Of the model's vocabulary that its tokenizer has to have. Models have spare rows, but not so many."""
_TEXT_TASKS = {
    *("text-classification", "token-classification", "question-answering", "fill-mask", "feature-extraction"),
    *(
        "zero-shot-classification",
        "text-ranking",
        "text-generation",
        "summarization",
        "translation",
        "text2text-generation",
    ),
}
_OTHER = "Name another model or revision"
_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_HEADER = 100_000_000
"""What safetensors itself takes."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VOCABULARIES = (".model", ".spm", ".bpe", ".codes", ".tiktoken", ".vocab")
_VOCABULARY_NAMES = {
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tekken.json",
    "vocab-src.json",
}
_WITHOUT_VOCABULARY = ("ByT5", "Canine", "Perceiver", "Myt5", "Rwkv")
"""Tokenizers that know characters or bytes, and need no file."""


@dataclass(frozen=True)
class Suitability:
    """What was found of a snapshot. refused: uses that it cannot serve; not_compared: whose weights nobody
    has compared with what their task needs, and why."""

    refused: tuple[tuple[Use, WarmupError], ...]
    not_compared: tuple[NotComparedEntry, ...]


def check_suitability(model: ModelRequest, cache: Path, snapshot: Snapshot, job: Job) -> Suitability:
    """Which uses of `model` the snapshot can serve. Raises WarmupError where it can serve none at all,
    OutOfTime near the deadline.

    Weights are compared in a process of its own, once per commit and task: before torch may serve the model,
    and so before it is exported, which may take more time or memory than this function has.
    """
    if any(use.files is None for use in model.uses):
        check_usable(model.repo_id, snapshot)
    # What the repository's own code needs only that code knows.
    uses = [use for use in model.uses if use.files is None and not use.remote_code]
    refused: list[tuple[Use, WarmupError]] = []
    for use in uses:
        try:
            check_configs(model.repo_id, snapshot, use)
        except WarmupError as error:
            refused.append((use, error))
    suited = [use for use in uses if not any(use is each for each, _ in refused)]
    tasks = list(dict.fromkeys(_base(use.task) for use in suited))
    if static_folder(snapshot.path) is not None and "feature-extraction" in tasks:
        tasks.remove("feature-extraction")  # transformers has no model of it; its table is read when prepared
    compared = _compared(model, cache, snapshot, tasks, job) if tasks else {}
    not_compared = []
    for task, found in compared.items():
        if problem := _error(model.repo_id, task, found):
            refused += [(use, problem) for use in suited if _base(use.task) == task]
        elif reason := found.not_comparable or found.failed:
            not_compared.append(NotComparedEntry(task, reason))
            log("weights not compared", model=model.key, task=task, reason=reason)
    return Suitability(tuple(refused), tuple(not_compared))


@dataclass(frozen=True)
class TaskComparison(Record):
    """Of one task. untrained: what is missing; unusable: why the weights cannot be loaded.

    Where it could not be compared: not_comparable, which no other try changes, or failed.
    """

    untrained: Untrained | None = None
    unusable: str | None = None
    not_comparable: str | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Comparison(Record):
    """Of every task; needs_code and unusable are about all of them."""

    tasks: Mapping[str, TaskComparison] = field(default_factory=dict)
    needs_code: str | None = None
    unusable: str | None = None


def _error(repo_id: str, task: str, found: TaskComparison) -> WarmupError | None:
    if found.unusable:
        return WarmupError(ErrorKind.UNUSABLE, found.unusable)
    if found.untrained:
        message = _untrained_message(repo_id, task, found.untrained)
        return WarmupError(ErrorKind.UNTRAINED_HEAD, message)
    return None


def _compared(
    model: ModelRequest, cache: Path, snapshot: Snapshot, tasks: list[str], job: Job
) -> dict[str, TaskComparison]:
    """What is known of each of `tasks`, from earlier warm-ups or compared now.

    Raises WarmupError where the weights are of no use for any task.
    """
    if not _has_readable_weights(snapshot):
        reason = "no weight file begins as its format does"
        return {task: TaskComparison(failed=reason) for task in tasks}
    path = cache / "checks" / repo_folder(model.repo_id) / f"{snapshot.commit}.json"
    known = _known(path)
    missing = [task for task in tasks if task not in known]
    if missing:
        job.progress(model.key, phase="check", note="trained weights")
        comparison = _compare(snapshot.path, missing, job)
        if comparison.needs_code:
            raise WarmupError(ErrorKind.REMOTE_CODE, comparison.needs_code)
        if comparison.unusable:
            raise WarmupError(ErrorKind.UNUSABLE, comparison.unusable)
        known |= comparison.tasks
        settled = {task: found.to_json() for task, found in known.items() if not found.failed}
        document = {"transformers": version("transformers"), "compared": settled}
        replace_text(path, json.dumps(document), within=cache)
    return {task: known[task] for task in tasks}


def _known(path: Path) -> dict[str, TaskComparison]:
    """What earlier warm-ups have found with these libraries. What does not say it so is found anew."""
    document = _read_json(path)
    found = document.get("compared")
    if document.get("transformers") != version("transformers") or not isinstance(found, dict):
        return {}
    try:
        return {task: TaskComparison.from_json(each) for task, each in found.items()}
    except WrongShape:
        return {}


def check_usable(repo_id: str, snapshot: Snapshot) -> None:
    """Raises WarmupError for an adapter, a broken config, a pointer for a file, a file that was cut."""
    names = {file.path for file in snapshot.files}
    reason = config_problem(repo_id, snapshot.path, names) or _index_problem(snapshot.path, names)
    for file in snapshot.files:
        reason = reason or _file_problem(snapshot.path / file.path)
    if reason:
        raise WarmupError(ErrorKind.UNUSABLE, f"{repo_id} {reason}")


def config_problem(repo_id: str, folder: Path, names: Collection[str]) -> str | None:
    """Why `repo_id`, whose configs lie in `folder`, with files `names`, is no model; None: it is."""
    if "config.json" in names:
        try:
            document = json.loads(read_file(folder / "config.json"))
        except (ValueError, RecursionError) as error:
            return f"has a config.json that is not JSON ({error}). {_OTHER}"
        if not isinstance(document, dict):
            return f"has a config.json that is not an object. {_OTHER}"
        return None
    if "adapter_config.json" in names:
        config = _read_json(folder / "adapter_config.json")
        base, revision = (config.get(key) for key in ("base_model_name_or_path", "revision"))
        known = isinstance(base, str) and is_repo_id(base)
        is_commit = isinstance(revision, str) and _COMMIT.fullmatch(revision)
        pinned = f'revision="{revision}"' if is_commit else "revision=... (pin it)"
        named = f'model="{base}", {pinned}' if known else f"model=..., {pinned}"
        return (
            f"is an adapter{f' of {base}' if known else ''}, not a model: name the model itself, and the "
            f'adapter beside it where it is LoRA: {named}, adapter="{repo_id}", engine="onnx"'
        )
    if "modules.json" in names:
        return None  # sentence-transformers has modules without one
    return f"has no config.json, which says what model it is. {_OTHER}"


def _index_problem(folder: Path, names: set[str]) -> str | None:
    for name in names:
        if name.endswith((".safetensors.index.json", ".bin.index.json")) and "/" not in name:
            listed = _read_json(folder / name).get("weight_map")
            shards = {str(each) for each in listed.values()} if isinstance(listed, dict) else set()
            if lacking := sorted(shards - names):
                more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
                return f"lacks weight files that {name} lists: {', '.join(lacking[:3])}{more}. {_OTHER}"
    return None


def _file_problem(path: Path) -> str | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(len(_POINTER))
    if begin == _POINTER:
        what = f"holds a pointer of Git LFS in the place of {path.name}"
        return f"{what}: the file itself was never uploaded. {_OTHER}"
    if path.suffix == ".safetensors":
        needed = _bytes_needed(path, size)
        if needed is not None and size < needed:
            return f"has a {path.name} that ends after {size:,} of {needed:,} bytes: it was cut. {_OTHER}"
    if path.suffix == ".bin" and begin[:2] == b"PK" and not zipfile.is_zipfile(path):
        return f"has a {path.name} without the end that such a file has: it was cut. {_OTHER}"
    return None


def _bytes_needed(path: Path, size: int) -> int | None:
    """How long the file is by its own header; None where it has none: that is for the loader to name."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 9 or length > _LARGEST_HEADER or file.read(1) != b"{":
            return None
        if 8 + length > size:
            return 8 + length
        file.seek(8)
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return None
    ends = [each["data_offsets"][1] for each in header.values() if _has_offsets(each)]
    return 8 + length + max(ends, default=0)


def _has_offsets(entry: Json) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, Mapping) else None
    return isinstance(offsets, list) and len(offsets) == 2 and all(isinstance(each, int) for each in offsets)


def check_configs(repo_id: str, snapshot: Snapshot, use: Use) -> None:
    """Raises WarmupError for what `use` lacks by the names of the files and the configs alone."""
    if _base(use.task) == "feature-extraction" and (folder := static_folder(snapshot.path)) is not None:
        return _check_static(repo_id, snapshot, folder)
    config = _read_json(snapshot.path / "config.json")
    if use.own_tokenizer and _base(use.task) in _TEXT_TASKS:
        _check_tokenizer(repo_id, snapshot, config)
    if _base(use.task) == "zero-shot-classification":
        _check_entailment(repo_id, config)
    if _base(use.task) == "text-ranking":
        _check_ranking(repo_id, snapshot.path)
    return None


def _check_tokenizer(repo_id: str, snapshot: Snapshot, config: Mapping[str, Json]) -> None:
    names = {file.path for file in snapshot.files if "/" not in file.path}
    said = str(_read_json(snapshot.path / "tokenizer_config.json").get("tokenizer_class") or "")
    kind = str(config.get("model_type") or "")
    if any(f"{said} {kind}".lower().find(name.lower()) >= 0 for name in _WITHOUT_VOCABULARY):
        return
    fix = "Name another model or revision, or add the tokenizer with its save_pretrained"
    if not any(name in _VOCABULARY_NAMES or name.endswith(_VOCABULARIES) for name in names):
        what = "has no tokenizer (tokenizer.json, vocab.txt, *.model, ...): transformers would make one up"
        raise WarmupError(ErrorKind.NO_TOKENIZER, f"{repo_id} {what}. {fix}")
    has, needs = _vocabulary(snapshot.path), config.get("vocab_size")
    if has is not None and isinstance(needs, int) and has < SMALLEST_SHARE * needs:
        what = f"has a tokenizer of {has:,} tokens for a model of {needs:,}: it cannot be the model's"
        raise WarmupError(ErrorKind.NO_TOKENIZER, f"{repo_id} {what}. {fix}")


def _vocabulary(snapshot: Path) -> int | None:
    """How many tokens the tokenizer files list; None where they do not tell."""
    vocabulary = _read_json(snapshot / "tokenizer.json").get("model")
    tokens = vocabulary.get("vocab") if isinstance(vocabulary, dict) else None
    if isinstance(tokens, dict | list) and tokens:
        return len(tokens)
    if not (snapshot / "tokenizer.json").exists() and (snapshot / "vocab.txt").exists():
        with (snapshot / "vocab.txt").open(errors="replace") as lines:
            return sum(1 for _ in lines)
    return None


def _check_entailment(repo_id: str, config: Mapping[str, Json]) -> None:
    """transformers knows the label of entailment by its name; where there is none it takes the last label."""
    by_name, by_number = config.get("label2id"), config.get("id2label")
    labels = ["LABEL_0", "LABEL_1"]  # transformers' own where the config has none
    if isinstance(by_name, dict) and by_name:
        labels = [str(name) for name in by_name]
    elif isinstance(by_number, dict) and by_number:
        labels = [str(name) for name in by_number.values()]
    if not any(name.lower().startswith("entail") for name in labels):
        has = f"no label that begins with 'entail' (it has {', '.join(labels[:6])})"
        fix = "zero-shot-classification needs a model that was trained on natural language inference"
        raise WarmupError(ErrorKind.UNTRAINED_HEAD, f"{repo_id} has {has}: {fix}")


def _check_static(repo_id: str, snapshot: Snapshot, folder: Path) -> None:
    """Of a table of token vectors in `folder`: that what comes after it is done here, and its tokenizer."""
    try:
        read_static_rules(snapshot.path)
    except NotUnderstood as problem:
        message = f"{repo_id} cannot be loaded: {problem}. {_OTHER}"
        raise WarmupError(ErrorKind.UNUSABLE, message) from problem
    tokenizer = os.path.relpath(folder / "tokenizer.json", snapshot.path)  # modules.json may say anything
    if not any(file.path == tokenizer for file in snapshot.files):
        message = f"{repo_id} has no tokenizer.json beside its table. {_OTHER}"
        raise WarmupError(ErrorKind.NO_TOKENIZER, message)


def _check_ranking(repo_id: str, snapshot: Path) -> None:
    try:
        read_rules(snapshot)
    except NotUnderstood as problem:
        message = f"{repo_id} cannot rank: {not_a_ranker(str(problem)).message}"
        raise WarmupError(ErrorKind.UNTRAINED_HEAD, message) from problem


def _has_readable_weights(snapshot: Snapshot) -> bool:
    """Whether a weight file begins as its format does: what does not is for the loader to name."""
    names = [file.path for file in snapshot.files if "/" not in file.path]
    shards = [name for name in names if name.endswith((".safetensors", ".bin")) and "adapter" not in name]
    return bool(shards) and all(_begins_well(snapshot.path / name) for name in shards)


def _begins_well(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(9)
        if path.suffix == ".bin":
            return begin[:2] in (b"PK", b"\x80\x02")
        return len(begin) == 9 and begin[8:] == b"{" and int.from_bytes(begin[:8], "little") < 100_000_000


def _compare(snapshot: Path, tasks: list[str], job: Job) -> Comparison:
    """What `untrained` finds of every one of `tasks`; that it failed where it does not say."""
    command = [sys.executable, "-m", f"{__package__}.untrained", str(snapshot), *tasks]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=child_environment(os.environ),
            timeout=max(1.0, min(job.remaining_s(), 3600.0)),
        )
    except subprocess.TimeoutExpired as error:
        raise OutOfTime from error
    try:
        comparison = Comparison.from_json(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, RecursionError):
        comparison = Comparison()
    if done.returncode < 0:
        reason = f"the comparison was killed (signal {-done.returncode}), most likely out of memory"
    else:
        reason = f"the comparison failed: {' '.join(done.stderr.split())[-300:] or 'it said nothing'}"
    failed = {task: TaskComparison(failed=reason) for task in tasks}
    return replace(comparison, tasks={**failed, **comparison.tasks})


def _untrained_message(repo_id: str, task: str, found: Untrained) -> str:
    names = ", ".join(found.missing[:4])
    if len(found.missing) > 4:
        names += f" and {len(found.missing) - 4} more"
    trained_for = f"{found.trained_for} ({found.trained_as})" if found.trained_for else None
    fix = f"Name a model that was trained for {task}"
    if found.other_head:
        what = f"{repo_id} was trained for {trained_for}, not for {task}"
        return f"{what}: that is what its {names} are for. {fix}"
    what = f"{repo_id} has no trained weights for {task}: {names} would be random."
    if found.trained_for == task:
        all_there = "Name a model or revision whose weights are all there"
        return f"{what} Its config.json says {found.trained_as}, its weights are others. {all_there}"
    return f"{what} It was trained for {trained_for}. {fix}" if trained_for else f"{what} {fix}"


def _base(task: str) -> str:
    try:
        return base_of(task)
    except ValueError:  # a task of transformers alone, of a plain script
        return task


def _read_json(path: Path) -> dict[str, Json]:
    try:
        document = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
