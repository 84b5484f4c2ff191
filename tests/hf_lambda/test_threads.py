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


@pytest.mark.parametrize(
    ("wanted", "memory_mb", "threads"),
    [
        ("1", "10240", 1),
        ("4", "3008", 2),
        ("64", "10240", 6),
        ("0", "3008", 1),
        ("4,2", "3008", 2),
        ("3", "", 3),
    ],
)
def test_the_variable_of_openmp_says_how_many_at_most(monkeypatch, wanted, memory_mb, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    environ = {"OMP_NUM_THREADS": wanted, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}
    assert thread_count(environ) == threads
