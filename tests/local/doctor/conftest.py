"""A machine without tools, and an account whose answers a test writes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.loaders import Loader

from hf_lambda.records import Json
from local.doctor.needs import Stack, read_stack
from tests.infra.program import ROOT
from warmup.cli.access import Access

Account = Callable[[Mapping[str, Json]], Access]
LOADER = Loader()
"""Reads AWS's description of each service once for all tests."""
REFUSED: Json = {"Error": {"Code": "AccessDenied", "Message": "you may not"}}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without Docker, Pulumi and credentials."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "DOCKER_", "PULUMI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("infra.docker_engine.DEFAULT", f"unix://{tmp_path}/none.sock")
    return tmp_path


def stack_of(folder: Path, keys: Mapping[str, Json]) -> Stack:
    """The stack dev with these keys, made in `folder`."""
    for path in ("__main__.py", "Pulumi.yaml", "inference/sentiment.py", "inference/summarization.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    (folder / "Pulumi.dev.yaml").write_text(json.dumps({"config": keys}))
    return read_stack(folder, "dev")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack with a NAT gateway."""
    return stack_of(tmp_path_factory.mktemp("nat"), {"egress": "nat"})


@pytest.fixture
def account() -> Account:
    """`account({"lambda.GetAccountSettings": {...}})` answers in AWS's place; an `Error` is refused."""

    def answering(answers: Mapping[str, Json]) -> Access:
        access = Access("us-east-1")
        access.session._session.register_component("data_loader", LOADER)
        for operation, answer in answers.items():

            def say(answer: Json = answer, **_: object) -> Json:
                status = 400 if "Error" in answer else 200
                return SimpleNamespace(status_code=status), {"ResponseMetadata": {}, **answer}

            access.session.events.register(f"before-call.{operation}", say)
        return access

    return answering


def with_access(stack: Stack, access: Access) -> Stack:
    return replace(stack, access=access)
