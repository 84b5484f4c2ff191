"""The worst request of each parameter, a megabyte at most: neither a function's memory nor its time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .campaign import Outcome
from .requests import TIMEOUT_S, Target, _Context
from .stage import shown

FITS, IN_TIME = "within the function's memory", "within its time-out, in processor time"
_GRACE_S = 5.0
_WORDS = "word and another " * 60_000
"""A megabyte."""


def worst(task: str) -> dict[str, dict[str, Any]]:
    """Events of `task` by what they have too much of."""
    if task == "question-answering":
        return _questions()
    found: dict[str, dict[str, Any]] = {
        "a text of a megabyte": {"inputs": _WORDS[:1_000_000]},
        "a text without spaces": {"inputs": "a" * 1_000_000},
        "100,000 texts": {"inputs": ["a"] * 100_000},
        "a thousand long texts": {"inputs": [_WORDS[:900]] * 1000},
        "twenty texts of 50 kB": {"inputs": [_WORDS[:50_000]] * 20},
    }
    if task == "zero-shot-classification":
        found = {name: {**fields, "candidate_labels": ["a", "b"]} for name, fields in found.items()}
        long, labels = _WORDS[:4000], [f"label {number}" for number in range(10_000)]
        found |= {
            "10,000 labels, 800 words": {"inputs": long, "candidate_labels": labels},
            "a label of a megabyte": {"inputs": "a", "candidate_labels": [_WORDS[:1_000_000]]},
            "a template of half a megabyte": {
                "inputs": "a",
                "candidate_labels": labels[:9000],
                "hypothesis_template": "{} " + _WORDS[:500_000],
            },
            "a text beside many labels": {"inputs": _WORDS[:500_000], "candidate_labels": labels[:5000]},
        }
    if task == "fill-mask":
        found |= {
            "masks": {"inputs": "[MASK] " * 60, "top_k": 10**9},
            "masks in many texts": {"inputs": ["[MASK] " * 60] * 2000, "top_k": 10**6},
            "targets": {"inputs": "a [MASK]", "targets": ["word"] * 100_000},
        }
    if task == "token-classification":
        found["overlap"] = {"inputs": _WORDS, "stride": 54, "aggregation_strategy": "simple"}
        found["no overlap"] = {"inputs": _WORDS, "stride": 0, "aggregation_strategy": "simple"}
    if task in ("summarization", "text-generation"):
        short = {"inputs": "the train leaves"}
        found |= {
            "beams": {**short, "num_beams": 64, "max_new_tokens": 1000},
            "too many beams": {**short, "num_beams": 5000},
            "answers": {**short, "num_return_sequences": 64, "do_sample": True, "max_new_tokens": 1000},
            "a penalty of whole numbers": {**short, "length_penalty": 100_000_000, "num_beams": 2},
            "forbidden words": {**short, "bad_words_ids": [[number % 100] * 3 for number in range(60_000)]},
            "new tokens": {**short, "max_new_tokens": 32_768},
            "texts times tokens": {"inputs": ["the train"] * 1000, "max_new_tokens": 100},
        }
    return found


def _questions() -> dict[str, dict[str, Any]]:
    context = _WORDS[:10_000]
    long = {"question": "who", "context": _WORDS[:990_000]}
    return {
        "2,000 questions": {"inputs": [{"question": "who is it", "context": context}] * 90},
        "a context of a megabyte": {"inputs": long},
        "overlap": {"inputs": long, "doc_stride": 40},
        "a long question": {
            "inputs": {"question": "who " * 40, "context": _WORDS[:900_000]},
            "doc_stride": 0,
        },
        "answers": {"inputs": long, "top_k": 10**6, "max_answer_len": 2**62},
        "one context": {"inputs": {"question": "who", "context": ""}, "max_seq_len": 2**62},
    }


CASES = 128
"""All of them."""
MEMORY_MB = 1769


def cases(attacked: list[Target], seed: int, count: int) -> Iterator[Callable[[], Outcome]]:
    """`count` of the worst requests of all targets, drawn by the seed."""
    every = [(target, *each) for target in attacked for each in worst(target.task).items()]
    for target, name, fields in random.Random(seed).sample(every, min(count, len(every))):
        yield partial(_case, target, fields, f"{target.name}: {name}", MEMORY_MB)


def _case(target: Target, fields: dict[str, Any], name: str, memory_mb: int) -> Outcome:
    """In a process of its own: what it grows by is the request's."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(_measured(target, fields)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not text:
        return Outcome(name, {FITS: False}, f"the process ended with {status}")
    said, seconds, grown_mb = json.loads(text)
    is_in_time = seconds < TIMEOUT_S + _GRACE_S
    figures = {FITS: grown_mb < memory_mb, IN_TIME: is_in_time}
    return Outcome(name, figures, f"{said}, {seconds:.1f} s, {grown_mb:.0f} MB")


def _measured(target: Target, fields: dict[str, Any]) -> tuple[str, float, float]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    # Of the processor: the machine may be busy with other things.
    before, began = _peak_mb(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reply = target.handler(fields, _Context())
            said = f"{reply['statusCode']} {json.dumps(reply['body'])[:120]}"
        except Exception as error:  # noqa: BLE001 - said in the report
            said = shown(error)
    return said, time.process_time() - began, _peak_mb() - before


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
