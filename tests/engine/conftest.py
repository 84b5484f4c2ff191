"""The real Pulumi CLI, and a stack that was deployed once for all tests that only look or change a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.stack import Stack, aws_api, new_stack
from tests.required import missing


@pytest.fixture(scope="session")
def pulumi() -> str:
    return shutil.which("pulumi") or missing("pulumi is not on PATH; see pulumi.com/docs/install")


@pytest.fixture(scope="session")
def aws(pulumi: str) -> Iterator[str]:
    with aws_api() as address:
        yield address


@pytest.fixture
def new(tmp_path: Path, pulumi: str, aws: str) -> Stack:
    """A stack that nothing was deployed to."""
    return new_stack(tmp_path / "stack", pulumi, aws)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, pulumi: str, aws: str) -> Stack:
    """The stack dev, as it is after its first `pulumi up`. Tests copy it."""
    stack = new_stack(tmp_path_factory.mktemp("deployed") / "stack", pulumi, aws)
    stack.up()
    return stack


@pytest.fixture
def dev(deployed: Stack, tmp_path: Path) -> Stack:
    """A copy of `deployed`, to be changed."""
    return deployed.copy(tmp_path / "stack")
