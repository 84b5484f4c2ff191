"""A Hub that fails: what a warm-up makes of it, and of the cache that was there."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from local.hub import Hub, serve
from local.hub.faults import Corrupt, Drop, Fault, Truncate
from local.hub.responses import Response, error, gated, rate_limited, repository_not_found

from .campaign import Outcome
from .stage import SMALL, Stage, entry, is_same, shown

CASES = 132
ENDED, KEPT, RECOVERED = (
    "a fault that passes is sat out, one that stays is named",
    "what was published answers as before",
    "done once the Hub is well",
)
FOREVER = 10**6
PATHS = {
    "the commit": "/api/models/*/revision/*",
    "the tree": "/api/models/*/tree/*",
    "anything of the API": "/api/*",
    "config.json": "*/resolve/*/config.json",
    "the weights": "*/resolve/*/model.safetensors",
    "any file": "*/resolve/*",
    "anything": "*",
}
_STATUSES = (
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    410,
    413,
    416,
    418,
    422,
    425,
    429,
    451,
    500,
    501,
    502,
    503,
    504,
    520,
)
_RETRY_AFTER = ("0", "1", "-1", "²", "1e9", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 400, "")
_BODIES = (b"", b"<html>maintenance</html>", b"{", b"[]", b"null", b"[" * 50_000, b"\xff\xfe", b'{"sha": 5}')
_HOSTILE = ("../../../../victim", "a" * 400, "", "G" * 40, "/etc/passwd", "b" * 39, "b" * 41)


def faults(draw: random.Random) -> Iterator[tuple[str, str, Fault]]:
    """Name, place and fault, without end."""
    while True:
        yield _status(draw)
        yield _garbage(draw)
        yield _broken(draw)
        yield _hostile(draw)


def _status(draw: random.Random) -> tuple[str, str, Fault]:
    status, place = draw.choice(_STATUSES), draw.choice(sorted(PATHS))
    headers = {"Retry-After": wait} if (wait := draw.choice(_RETRY_AFTER)).isascii() and wait else {}
    named = {"gated": gated(), "gone": repository_not_found(), "limited": rate_limited(0)}
    if draw.random() < 0.2:
        name = draw.choice(sorted(named))
        return f"{place}: {name}", place, named[name]
    return f"{place}: {status} {headers}", place, error(status, None, "a fault", headers)


def _garbage(draw: random.Random) -> tuple[str, str, Fault]:
    place, body = draw.choice(("the commit", "the tree", "anything of the API")), draw.choice(_BODIES)
    return f"{place}: 200 {body[:30]!r}", place, Response(200, {"Content-Type": "application/json"}, body)


def _broken(draw: random.Random) -> tuple[str, str, Fault]:
    fault = draw.choice((Truncate(draw.random()), Corrupt(), Drop(draw.random()), Drop(0.0)))
    place = draw.choice(("config.json", "the weights", "any file", "the tree"))
    return f"{place}: {fault}", place, fault


def _hostile(draw: random.Random) -> tuple[str, str, Fault]:
    name = draw.choice(_HOSTILE)
    if draw.random() < 0.5:
        files = [{"type": "file", "oid": name, "size": 3, "path": draw.choice(("config.json", name, "../x"))}]
        body = json.dumps(draw.choice((files, [{"type": "file"}], [{"path": name}], files * 3))).encode()
        return (
            f"the tree: {body[:60]!r}",
            "the tree",
            Response(200, {"Content-Type": "application/json"}, body),
        )
    headers = {"ETag": f'"{name}"', "X-Repo-Commit": draw.choice((name, "c" * 40))}
    return f"a file: {headers}", "any file", Response(200, headers, b"{}")


def cases(
    stage: Stage, models: Path, scratch: Path, seed: int, count: int
) -> Iterator[Callable[[], Outcome]]:
    """`count` faults, each for a while or for ever, over a cache that is cold or has an older commit."""
    draw = random.Random(seed)
    right = stage.ask(SMALL, "torch")
    for _, (name, place, fault) in zip(range(count), faults(draw), strict=False):
        lasts, is_warm = draw.choice((1, 2, FOREVER)), draw.random() < 0.5
        yield partial(
            _case, stage, models, scratch, right, f"{name}, {lasts} times", place, fault, lasts, is_warm
        )


def _case(
    stage: Stage,
    models: Path,
    scratch: Path,
    right: object,
    name: str,
    place: str,
    fault: Fault,
    lasts: int,
    is_warm: bool,
) -> Outcome:
    said: list[str] = []
    victim = scratch / "victim"
    victim.write_text("x")
    cache = scratch / "hub-case"
    shutil.rmtree(cache, ignore_errors=True)
    if is_warm:
        shutil.copytree(stage.cache, cache, symlinks=True)
    else:
        cache.mkdir()
    hub = Hub(models)
    with serve(hub) as running:
        attacked = Stage(running.url, cache)
        if is_warm:  # what it knows of the tree would need no Hub
            shutil.rmtree(cache / "trees", ignore_errors=True)
            shutil.rmtree(cache / "hub" / "models--org--small" / "snapshots", ignore_errors=True)
            shutil.copytree(
                stage.cache / "hub/models--org--small/snapshots",
                cache / "hub/models--org--small/snapshots",
                symlinks=True,
            )
        hub.fail(PATHS[place], fault, lasts)
        answer, _ = attacked.invoke({"action": "warm", "models": [entry(SMALL, "torch")]})
        kinds = {progress.get("error", {}).get("kind") for progress in answer.get("models", {}).values()}
        is_named = answer["state"] == "done" or not kinds & {"bug", None}
        if not is_named:
            said.append(json.dumps(answer)[:600])
        kept = _kept(attacked, right, must_answer=is_warm or answer["state"] == "done")
        said += [kept] if kept else []
        hub.faults.clear()
        again = attacked.warm(entry(SMALL, "torch"))
        recovered = again["state"] == "done" and not _kept(attacked, right, must_answer=True)
        if not recovered:
            said.append(f"then: {json.dumps(again)[:400]}")
    if not victim.exists():
        said.append("a file outside of the cache is gone")
    figures = {ENDED: is_named and victim.exists(), KEPT: kept is None, RECOVERED: recovered}
    shutil.rmtree(cache, ignore_errors=True)
    return Outcome(name + (", warm before" if is_warm else ""), figures, "; ".join(said))


def _kept(stage: Stage, right: object, *, must_answer: bool) -> str | None:
    """Why what the cache answers is not right; None where it is, or nothing is published and need not be."""
    try:
        answer = stage.ask(SMALL, "torch")
    except Exception as error:  # noqa: BLE001 - what an endpoint would answer with
        is_cold = getattr(error, "status", None) == 503 and not must_answer
        return None if is_cold else shown(error)
    return None if is_same(answer, right) else f"answers otherwise: {answer}"
