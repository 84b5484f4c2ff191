"""Requests that nobody means well: endpoints of every task on both engines, plain scripts, warm-up events.

None is a 500 and none is late; nothing of them is in a log.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from hf_lambda import Audio, Image, endpoint
from hf_lambda.background import Future
from hf_lambda.engines import Engine
from hf_lambda.media.inputs import KINDS
from hf_lambda.parameters import parameters_of
from hf_lambda.pipeline import LoadedEngine, Pipeline

from . import files
from .campaign import Outcome
from .stage import SMALL, Stage, entry, shown

CASES = 50_000
ANSWERED, SILENT, ON_TIME = (
    "no 500",
    "nothing of the request in the log",
    "within the time-out, in processor time",
)
NAMED = "warm-up events of a wrong shape get a named error"
MARKER = "mArKeR"
"""In every text that is sent, so that the log can be searched for it."""
TIMEOUT_S = 10.0
_GRACE_S = 2.0
_WARM_UP_SHARE, _PLAIN_SHARE = 0.06, 0.06


@dataclass(frozen=True)
class Target:
    """A handler, the task that it serves and what draws an input that it takes."""

    name: str
    task: str
    handler: Callable[[Any, Any], Any]
    input: Callable[[random.Random], Any]


class _Context:
    aws_request_id = "attack"

    def __init__(self) -> None:
        self._end = time.monotonic() + TIMEOUT_S

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._end - time.monotonic())))


_TEXTS = (f"{MARKER} loves the train to Edinburgh", f"{MARKER} wrote [MASK] to Paris", f"Wer ist {MARKER}?")
_QUESTIONS = ({"question": f"Who is {MARKER}?", "context": f"{MARKER} lives in Paris with Anna. " * 9},)
_CHATS = ([{"role": "user", "content": f"Hello {MARKER}"}],)
_RANKINGS = ({"query": MARKER, "documents": [f"{MARKER} is here", "a train", ""]},)
ENCODERS = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "text-ranking": "AutoModelForSequenceClassification",
}
WRITERS = ("summarization", "translation", "text2text-generation", "text-generation")
TEXTS = (*ENCODERS, *WRITERS)
TASKS = (*TEXTS, *files.MODELS)
"""Every task that there is."""


_INFERENCE = ("contradiction", "neutral", "entailment")


def targets(root: Path, tasks: tuple[str, ...] = TASKS) -> list[Target]:
    """Endpoints of `tasks` on tiny models, prepared and on torch; every parameter is a field of the event."""
    found = []
    for task in tasks:
        snapshot = snapshot_of(task, root / task)
        loaders: dict[str, Callable[[str, Path, Path], Engine]] = {"onnx": _load_onnx, "torch": _load_torch}
        if task in files.MODELS and task not in files.PREPARED:
            del loaders["onnx"]
        for name, load in loaders.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                engine = load(task, snapshot, root)
            for form, handler in _handlers(task, engine).items():
                found.append(Target(f"{task} on {name}{form}", task, handler, _drawn(task)))
    return found


def _drawn(task: str) -> Callable[[random.Random], Any]:
    if task in files.MODELS:
        return lambda draw: files.inputs(task, draw, MARKER)
    known = {
        "question-answering": _QUESTIONS,
        "text-ranking": _RANKINGS,
        "text-generation": (*_TEXTS, *_CHATS),
    }
    return lambda draw: draw.choice(known.get(task, _TEXTS))


def snapshot_of(task: str, folder: Path) -> Path:
    from tests import tiny_decoders, tiny_encoders, tiny_seq2seq

    if task in files.MODELS:
        return files.snapshot(task, folder)
    if task == "text-generation":
        return tiny_decoders.snapshot("llama", folder)
    if task in WRITERS:
        return tiny_seq2seq.build("t5", folder)
    labels = {
        "question-answering": ["start", "end"],
        "zero-shot-classification": [*_INFERENCE],
        "text-ranking": ["LABEL_0"],
    }.get(task)
    tiny_encoders.build("bert", folder, labels=labels)
    return tiny_encoders.save_head(folder, ENCODERS[task])


def _load_onnx(task: str, snapshot: Path, root: Path) -> Engine:
    from hf_lambda.onnx_engine import load
    from tests import tiny_decoders
    from warmup.prepare import PrepareRequest, Tolerance, prepare

    if task == "text-generation":
        return load(task, tiny_decoders.prepared(snapshot, root / "prepared" / task))
    request = PrepareRequest(
        task, "org/x", "0" * 40, snapshot, precision="fp32", tolerance=Tolerance(fp32=1.0)
    )
    return load(task, Path(prepare(request, into=root / "prepared" / task, isolated=False).path))


def _load_torch(task: str, snapshot: Path, root: Path) -> Engine:
    from hf_lambda.torch_engine import load

    return load(task, snapshot)


def _handlers(task: str, engine: Engine) -> dict[str, Callable[[Any, Any], Any]]:
    """Of endpoints that take whatever JSON there is and, for tasks of files, files by their type."""
    served = Pipeline(task, "org/name", None, {}, {})
    loaded = LoadedEngine(engine, "attack", 0.0, [])
    served._engine = Future(lambda: loaded)

    def answer(inputs: Any, **parameters: Any) -> Any:
        return served(inputs, **{**_SHORT.get(task, {}), **parameters})

    @endpoint
    def handler(inputs: Any, **parameters: Any) -> Any:
        return answer(inputs, **parameters)

    @endpoint
    def of_picture(inputs: Image | list[Image], **parameters: Any) -> Any:
        return answer(inputs, **parameters)

    @endpoint
    def of_sound(inputs: Audio | list[Audio], **parameters: Any) -> Any:
        return answer(inputs, **parameters)

    typed = {"image": {" by type": of_picture}, "audio": {" by type": of_sound}}
    return {"": handler, **typed.get(KINDS.get(task, ""), {})}


_SHORT = {task: {"max_new_tokens": 4} for task in (*WRITERS, "image-text-to-text")}


def value(draw: random.Random, depth: int = 0) -> Any:
    """Anything that JSON can say, and what Python's reader makes of more."""
    kind = draw.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return draw.choice((None, True, False))
    if kind == 1:
        return draw.choice((0, 1, -1, 2, 3, 5, 64, 1000, 10**6, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30))
    if kind == 2:
        return draw.choice(
            (0.0, 0.5, 1.0, -1.0, 1e-300, 1e308, float("inf"), float("-inf"), float("nan"), 2.0)
        )
    if kind in (3, 4, 5):
        return text(draw)
    if kind == 6:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 7:
        return {text(draw): value(draw, depth + 1) for _ in range(draw.randrange(4))}
    return _nested(draw.choice((3, 90, 300)))


def text(draw: random.Random) -> str:
    return draw.choice(
        (
            *(
                "",
                " ",
                f"{MARKER}\0",
                f"{MARKER}\ud83d",
                f"\udc00{MARKER}",
                f"{MARKER} " * draw.choice((2, 500)),
            ),
            *(
                f"{{}} {MARKER}",
                "{",
                "{0.__class__}",
                "{:>99999999}",
                f"[MASK] {MARKER} [MASK]",
                "\u202e\u0301" * 9,
            ),
            *(
                "simple",
                "first",
                "softmax",
                "none",
                "longest_first",
                "only_first",
                "mean",
                "cls",
                "auto",
                "never",
            ),
            *("positive, negative", "true", "1", "日本語のテキスト", "🙂" * 40, MARKER),
        )
    )


def _nested(depth: int) -> Any:
    inner: Any = MARKER
    for _ in range(depth):
        inner = [inner]
    return inner


_LIKELY: Mapping[str, tuple[Any, ...]] = {
    "candidate_labels": (["a", "b"], "a, b", ["a"] * 300, [MARKER]),
    "hypothesis_template": ("This is {}.", "{0} it is", "{}{}", "{"),
    "top_k": (1, 5, 10**6),
    "max_length": (1, 5, 64),
    "num_beams": (1, 2, 5000),
    "num_return_sequences": (1, 2, 3),
    "stride": (0, 5, 61),
    "doc_stride": (0, 5, 61),
    "temperature": (1, 2, 0.5, 1e400),
    "length_penalty": (1, 100_000_000, -2.5),
    "aggregation_strategy": ("simple", "first", "max"),
    "stop": ([], ["a"], "a", ["a"] * 99),
}


def event(target: Target, draw: random.Random) -> Any:
    """An event of the target with up to three fields that are off, directly or over HTTP."""
    fields: dict[str, Any] = {"inputs": target.input(draw)}
    if target.task.startswith("zero-shot"):
        fields["candidate_labels"] = ["travel", MARKER]
    names = sorted(parameters_of(target.task))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
        name = draw.choice([*names, *names, "inputs", "parameters", "stream", text(draw)])
        known = _LIKELY.get(name)
        fields[name] = draw.choice(known) if known and draw.random() < 0.6 else value(draw)
    if draw.random() < 0.15:
        fields["inputs"] = [target.input(draw) for _ in range(draw.choice((0, 1, 2, 40)))]
    if draw.random() < 0.1:
        return value(draw)
    if KINDS.get(target.task) in ("image", "audio") and draw.random() < 0.2:
        return _as_body(target.task, fields, draw)
    return _over_http(fields, draw) if draw.random() < 0.4 else fields


def _as_body(task: str, fields: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """The file itself over HTTP, and the other fields in the query."""
    data = files.picture(draw) if KINDS[task] == "image" else files.sound(draw)
    query = {name: str(each) for name, each in fields.items() if name != "inputs"}
    return {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"content-type": files.media_type(task, draw)},
        "queryStringParameters": query or None,
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }


def _over_http(fields: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    body: Any = json.dumps(fields, ensure_ascii=draw.random() < 0.5)
    is_encoded: Any = draw.random() < 0.3
    if is_encoded:
        body = base64.b64encode(body.encode(errors="replace")).decode()
    body = draw.choice(
        (body,) * 8 + (body[:-1], None, 5, [body], "[" * 5000, "\ufeff" + body, b"x".hex(), "é")
    )
    kinds = (
        "application/json",
        "text/plain",
        "image/png",
        "audio/wav",
        "application/octet-stream",
        MARKER,
        5,
    )
    context: Any = draw.choice(
        ({"http": {"method": "POST"}}, {"http": {}}, {"http": 5}, {"httpMethod": "GET"})
    )
    return {
        "version": draw.choice(("2.0", "1.0", 2)),
        "requestContext": context,
        "headers": draw.choice(
            ({"content-type": draw.choice(kinds)}, {}, None, ["x"], {"Content-Encoding": "gzip"})
        ),
        "queryStringParameters": draw.choice(
            (None, {}, {"inputs": MARKER, "top_k": "1e400"}, ["a"], {"a": None})
        ),
        "body": body,
        "isBase64Encoded": draw.choice((is_encoded, is_encoded, is_encoded, "yes", 0)),
    }


def cases(stage: Stage, attacked: list[Target], seed: int, count: int) -> Iterator[Callable[[], Outcome]]:
    """`count` requests: of each target in turn, of a plain script, and events of the warm-up."""
    draw = random.Random(seed)
    for number in range(count):
        own = random.Random(draw.random())
        kind = own.random()
        if kind < _WARM_UP_SHARE:
            yield partial(_ask_warm_up, stage, own)
        elif kind < _WARM_UP_SHARE + _PLAIN_SHARE:
            yield partial(_ask_plain, own)
        else:
            yield partial(_ask, attacked[number % len(attacked)], own)


def _ask(target: Target, draw: random.Random) -> Outcome:
    asked = event(target, draw)
    log, began = io.StringIO(), time.process_time()
    said = ""
    status: Any = None
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reply = target.handler(asked, _Context())
            json.dumps(reply).encode()
            status = reply["statusCode"]
    except Exception as error:  # noqa: BLE001 - no handler may raise
        said = shown(error)
    seconds = time.process_time() - began
    figures = {
        ANSWERED: isinstance(status, int) and 200 <= status < 500,
        SILENT: MARKER not in log.getvalue(),
        ON_TIME: seconds < TIMEOUT_S + _GRACE_S,
    }
    if not all(figures.values()):
        said = f"{status} {said} {seconds:.1f} s {repr(asked)[:300]} {log.getvalue()[-700:]}"
    return Outcome(target.name, figures, said)


def _plain(given: Any, context: Any) -> Any:
    """A plain script, which does with an event what such scripts do."""
    if isinstance(given, dict) and "number" in given:
        return 1 / int(given["number"])
    if isinstance(given, list):
        raise TypeError(f"cannot take {given}")
    return {"answer": given[MARKER] + json.loads(given["body"])}


def _ask_plain(draw: random.Random) -> Outcome:
    from awslambdaric import bootstrap

    from hf_lambda.runtime import Marshaller, without_messages

    asked = draw.choice((value(draw), {"number": value(draw)}, {"body": text(draw), MARKER: value(draw)}))
    body = json.dumps(asked).encode()
    client = mock.Mock(marshaller=Marshaller())
    log = io.StringIO()
    quiet = without_messages(bootstrap.log_error)
    with contextlib.redirect_stdout(log), mock.patch.object(bootstrap, "log_error", quiet):
        sink = bootstrap.StandardLogSink()
        bootstrap.handle_event_request(
            client, _plain, "id", body, "application/json", None, None, "arn", 10**15, None, sink
        )
    is_silent = MARKER not in log.getvalue().replace("given[MARKER]", "")
    return Outcome("a plain script", {SILENT: is_silent}, "" if is_silent else log.getvalue()[-500:])


def _ask_warm_up(stage: Stage, draw: random.Random) -> Outcome:
    action = draw.choice(("warm", "plan", "verify", "prune", "status", "fetch", "prepare"))
    models: Any = draw.choice(
        ([entry(SMALL, "torch")], value(draw), [value(draw)], [{**entry(SMALL), **_object(draw)}])
    )
    asked: Any = draw.choice(
        (
            value(draw),
            {"action": value(draw), "models": models},
            {"action": draw.choice(("plan", "status", "verify")), "models": models},
            {"action": action, "job": value(draw), "models": [], "jobs": value(draw)},
            {"action": "status", "jobs": draw.choice((value(draw), [text(draw)]))},
            {"action": "prune", "only": value(draw), "dry_run": value(draw), "models": models},
            _object(draw),
        )
    )
    said, kinds = "", set()
    try:
        answer, log = stage.invoke(asked)
        json.dumps(answer).encode(errors="strict")
        found = (
            [answer, *(answer.get("models") or {}).values()]
            if isinstance(answer.get("models"), dict)
            else [answer]
        )
        kinds = {(each.get("error") or {}).get("kind") for each in found if isinstance(each, dict)}
    except Exception as error:  # noqa: BLE001 - the warm-up never raises
        said, log, kinds = shown(error), "", {"raised"}
    # Names of jobs and models, once they are well formed, are what the log is about.
    is_silent = MARKER not in re.sub(rf'"(job|model)": "{MARKER}[\w@-]*"', "", log)
    figures = {NAMED: not kinds & {"bug", "raised"}, SILENT: is_silent}
    if not all(figures.values()):
        said = f"{said} {kinds} {log[-500:]} {repr(asked)[:400]}"
    return Outcome("a warm-up event", figures, said)


def _object(draw: random.Random) -> dict[str, Any]:
    names = ("model", "task", "revision", "engine", "precision", "samples", "uses", "job", MARKER)
    return {draw.choice(names): value(draw) for _ in range(draw.randrange(3))}
