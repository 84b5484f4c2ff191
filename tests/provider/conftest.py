"""An emulated AWS to call directly, and Terraform with the real provider to apply the program to one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.provider.aws.server import KEYS, emulated_aws
from tests.provider.schema import Schema
from tests.provider.terraform import Installed, Terraform, find_terraform
from tests.required import missing

Client = Callable[[str], Any]


def client_of(address: str) -> Client:
    """`client("efs")` asks once, and leaves all judgement to the other side."""
    settings = Config(
        retries={"max_attempts": 0}, parameter_validation=False, s3={"addressing_style": "path"}
    )

    def client(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name="us-east-1",
            endpoint_url=address,
            config=settings,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    return client


class Account:
    """An AWS in which nothing is yet, for stacks of the program."""

    def __init__(self, installed: Installed, address: str, folder: Path) -> None:
        self._installed, self.address, self._folder = installed, address, folder
        self.client = client_of(address)

    def stack(self, name: str = "dev") -> Terraform:
        return Terraform(self._installed, self._folder / name, self.address)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Clients of an account with the usual limits."""
    with emulated_aws(tmp_path_factory.mktemp("aws") / "log") as address:
        yield client_of(address)


@pytest.fixture(scope="session")
def new_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Clients of an account that is held to what new ones are held to."""
    with emulated_aws(tmp_path_factory.mktemp("aws") / "log", "--new-account") as address:
        yield client_of(address)


@pytest.fixture(scope="session")
def installed() -> Installed:
    found = find_terraform()
    return found if isinstance(found, Installed) else missing(found)


@pytest.fixture(scope="session")
def schema(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Schema:
    return Terraform(installed, tmp_path_factory.mktemp("schema"), "http://127.0.0.1:9").schema()


@pytest.fixture
def new_accounts(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Account]]:
    """Makes accounts for one test."""
    with contextlib.ExitStack() as stack:

        def make() -> Account:
            folder = tmp_path_factory.mktemp("account")
            return Account(installed, stack.enter_context(emulated_aws(folder / "aws.log")), folder)

        yield make


@pytest.fixture
def account(new_accounts: Callable[[], Account]) -> Account:
    """An account of its own for one test."""
    return new_accounts()
