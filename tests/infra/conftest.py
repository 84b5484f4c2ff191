"""Deployments of the real program, to be looked at."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.proto import source_pb2

from tests.infra.asked import Deployed
from tests.infra.program import ROOT, Deploy, run_program


@pytest.fixture(scope="session", autouse=True)
def no_stack_traces() -> Iterator[None]:
    """Pulumi sends the stack with every resource, to be shown beside it: below a test runner it is deep, and
    took a quarter of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace)
        yield


@pytest.fixture(scope="session")
def dev() -> Deployed:
    return run_program(ROOT, "dev")


@pytest.fixture(scope="session")
def nat() -> Deployed:
    """The stack dev, with a network that reaches the internet."""
    return run_program(ROOT, "dev", egress="nat")


@pytest.fixture(scope="session")
def prod() -> Deployed:
    return run_program(ROOT, "prod")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of scripts beside a copy of the program, to be changed by a test."""
    shutil.copy(ROOT / "__main__.py", tmp_path)
    folder = tmp_path / "inference"
    folder.mkdir()
    for name in ("sentiment", "summarization"):
        shutil.copy(ROOT / "inference" / f"{name}.py", folder)
    return folder


@pytest.fixture
def deploy(scripts: Path) -> Deploy:
    """`deploy("dev", key=value, ...)` runs the program over `scripts`."""
    return functools.partial(run_program, scripts.parent)


@pytest.fixture
def mistakes(deploy: Deploy) -> Callable[..., list[str]]:
    """The lines of the error with which the program stops."""

    def run(*arguments: Any, **keys: Any) -> list[str]:
        with pytest.raises(pulumi.RunError) as caught:
            deploy(*arguments, **keys)
        return str(caught.value).splitlines()

    return run
