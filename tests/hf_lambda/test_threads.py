"""Threads for the vCPUs that a memory size buys."""

from __future__ import annotations

import os

import pytest

from hf_lambda.threads import thread_count

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("memory_mb", "threads"), [("128", 1), ("1769", 1), ("3008", 2), ("10240", 6)])
def test_a_function_uses_the_vcpus_that_its_memory_buys(monkeypatch, memory_mb, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    assert thread_count({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}) == threads


def test_never_more_threads_than_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert thread_count({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240"}) == 1


@pytest.mark.parametrize("environ", [{}, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "much"}])
def test_outside_lambda_all_processors_are_used(environ):
    assert thread_count(environ) == ALL
