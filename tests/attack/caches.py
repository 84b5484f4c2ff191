"""Damaged caches: what an endpoint answers from one, and whether the next warm-up repairs it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hf_lambda.errors import ServingError
from hf_lambda.integrity import HASHED_AT_LOAD

from .campaign import Outcome
from .stage import LARGE, SMALL, Stage, entry, is_same, shown

CASES = 150
MODELS = ((SMALL, "auto"), (LARGE, "torch"))
"""With the engine that answers from it: one is prepared, one is served as it came."""
ANSWERED, REPAIRED, FLIPPED = (
    "503 or the right answer",
    "repaired by the next warm-up",
    "flipped bytes of large weights found by verify",
)
Damage = Callable[[Path, random.Random], None]


def _gone(path: Path, _: random.Random) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _written(path: Path, content: bytes) -> None:
    """In place of `path`; a pointer to a blob stays one, and the blob is what changes."""
    if path.is_dir():
        _gone(path, random.Random())
    path.write_bytes(content)


def _empty(path: Path, _: random.Random) -> None:
    _written(path, b"")


def _cut(path: Path, draw: random.Random) -> None:
    content = path.read_bytes() if path.is_file() else b"x"
    _written(path, content[: draw.choice((1, len(content) // 2, len(content) - 1))])


def _flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes() if path.is_file() else b"x")
    for _ in range(draw.choice((1, 40))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    _written(path, bytes(content))


def _longer(path: Path, _: random.Random) -> None:
    _written(path, (path.read_bytes() if path.is_file() else b"") + b"x")


def _garbage(path: Path, draw: random.Random) -> None:
    _written(path, draw.randbytes(draw.choice((1, 40, 70_000))))


def _other_json(path: Path, draw: random.Random) -> None:
    _written(path, draw.choice((b"null", b"[]", b"{}", b"3", b'"text"', b"[" * 100_000, b'{"files": 1}')))


def _other_values(path: Path, draw: random.Random) -> None:
    """JSON of the right shape with one value of another type, however deep it lies; else other JSON."""
    document: object = None
    with contextlib.suppress(OSError, ValueError):
        document = json.loads(path.read_bytes())
    places: list[tuple[dict[str, object], str]] = []
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            places += [(value, key) for key in value]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    if not places:
        _other_json(path, draw)
        return
    inside, key = draw.choice(places)
    inside[key] = draw.choice((None, -1, "", [], {"a": 1}, 10**30, "../../x", True))
    _written(path, json.dumps(document).encode())


def _directory(path: Path, _: random.Random) -> None:
    _gone(path, _)
    path.mkdir()
    (path / "inside").write_text("x")


def _loop(path: Path, _: random.Random) -> None:
    _gone(path, _)
    path.symlink_to(path.name)


def _dangling(path: Path, _: random.Random) -> None:
    _gone(path, _)
    path.symlink_to("../nowhere")


def _pipe(path: Path, _: random.Random) -> None:
    _gone(path, _)
    os.mkfifo(path)


def _left_work(path: Path, draw: random.Random) -> None:
    """What a killed run left of preparing: records that are half, attempts that are no number."""
    folders = [each for each in path.parents if each.name == "prepared"]
    root = folders[0] if folders else path.parents[-2]
    for folder in root.glob("models--*/*/*"):
        if folder.is_dir() and not folder.name.startswith("."):
            work = folder.with_name(f".work-{folder.name}")
            work.mkdir(exist_ok=True)
            for name in ("key.json", "request.json", "export.json", "optimize.json", "check-fp32.json"):
                (work / name).write_bytes(
                    draw.choice((b"", b'{"seconds": 1', b"[]", b"\xff", b'{"seconds": "x"}'))
                )
            (work / "export.attempts").write_bytes(draw.choice((b"", b"x", b"99999999999")))
            shutil.rmtree(folder)


DAMAGES: dict[str, Damage] = {
    "gone": _gone,
    "empty": _empty,
    "cut": _cut,
    "flipped": _flipped,
    "longer": _longer,
    "garbage": _garbage,
    "other JSON": _other_json,
    "other values": _other_values,
    "a directory": _directory,
    "a loop": _loop,
    "a dangling link": _dangling,
    "a pipe": _pipe,
}


def targets(cache: Path) -> list[Path]:
    """Every file, link and folder of a cache, but what no model needs."""
    found = sorted(path.relative_to(cache) for path in cache.rglob("*"))
    return [path for path in found if path.parts[0] not in ("jobs", "locks") and ".locks" not in path.parts]


def prepare_stage(stage: Stage) -> None:
    """Fill the cache; raises RuntimeError where that fails without any damage."""
    for model, engine in MODELS:
        answer = stage.warm(entry(model, engine))
        if answer["state"] != "done" or answer["models"][f"{model}@main"]["result"]["not_prepared"]:
            raise RuntimeError(f"the stage was not set up: {answer}")


def cases(stage: Stage, scratch: Path, seed: int, count: int) -> Iterator[Callable[[], Outcome]]:
    """`count` cases: each damage in turn, over files that the seed draws from all kinds of them."""
    draw = random.Random(seed)
    rights = {(model, engine): stage.ask(model, engine) for model, engine in MODELS}
    kinds: dict[str, list[Path]] = {}
    for path in targets(stage.cache):
        kind = (
            path.parts[0]
            + "/"
            + (path.suffix or path.name if path.is_absolute() else _kind(stage.cache / path))
        )
        kinds.setdefault(kind, []).append(path)
    names = sorted(DAMAGES)
    for number in range(count):
        if number % 25 == 24:
            name = "left work"
            damage: Damage = _left_work
            path = draw.choice([path for path in targets(stage.cache) if path.parts[0] == "prepared"])
        else:
            name = names[number % len(names)]
            damage = DAMAGES[name]
            path = draw.choice(kinds[draw.choice(sorted(kinds))])
        yield partial(_case, stage, scratch, rights, path, name, damage, random.Random(draw.random()))


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    return path.suffix or ("pointer" if path.is_symlink() else "file")


def _case(
    stage: Stage,
    scratch: Path,
    rights: dict[tuple[str, str], object],
    path: Path,
    name: str,
    damage: Damage,
    draw: random.Random,
) -> Outcome:
    figures: dict[str, bool] = {}
    said: list[str] = []
    with stage.copy(scratch / "damaged") as damaged:
        target = damaged.cache / path
        is_large = target.is_file() and target.stat().st_size >= HASHED_AT_LOAD
        damage(target, draw)
        wrong = [problem for each in MODELS if (problem := _answer_problem(damaged, rights, *each))]
        silent = [problem for problem in wrong if problem.startswith("answers otherwise")]
        if silent and is_large and name == "flipped":
            figures[FLIPPED] = _is_found(damaged)
            wrong = [problem for problem in wrong if problem not in silent]
        figures[ANSWERED] = not wrong
        said += wrong
        repaired = _repair_problems(damaged, rights)
        figures[REPAIRED] = not repaired
        said += repaired
    return Outcome(f"{path} {name}", figures, "; ".join(said))


def _answer_problem(
    stage: Stage, rights: dict[tuple[str, str], object], model: str, engine: str
) -> str | None:
    try:
        answer = stage.ask(model, engine)
    except ServingError as error:
        is_told = error.status == 503 and "Warm it" in error.message
        return None if is_told else f"{engine}: {error.status} {shown(error)}"
    except Exception as error:  # noqa: BLE001 - what an endpoint answers with 500
        return f"{engine}: 500 {shown(error)}"
    return None if is_same(answer, rights[model, engine]) else f"answers otherwise ({engine}): {answer}"


def _is_found(stage: Stage) -> bool:
    answer, _ = stage.invoke({"action": "verify", "models": [entry(*each) for each in MODELS]})
    return any(progress["result"]["faults"] for progress in answer["models"].values())


def _repair_problems(stage: Stage, rights: dict[tuple[str, str], object]) -> list[str]:
    problems = []
    answer = stage.warm(*(entry(*each) for each in MODELS))
    if answer["state"] != "done":
        problems.append(f"the warm-up: {json.dumps(answer)[:600]}")
    for model, engine in MODELS:
        try:
            if not is_same(stage.ask(model, engine), rights[model, engine]):
                problems.append(f"{model} answers otherwise after the warm-up ({engine})")
        except Exception as error:  # noqa: BLE001 - any is a failure
            problems.append(f"{model} after the warm-up ({engine}): {shown(error)}")
    return problems
