"""The program, applied by the real AWS provider to an account that refuses what AWS refuses."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from infra.account import Account as StackAccount
from infra.hooks import delete_versions
from infra.settings import Settings
from tests.infra.program import ROOT
from tests.provider.aws.server import KEYS
from tests.provider.conftest import Account
from tests.provider.document import LACKING, Document
from tests.provider.program import Program, apply
from tests.provider.schema import Schema
from tests.provider.terraform import TerraformError
from tests.transitions import transitions

pytestmark = pytest.mark.slow

EGRESS = get_args(Settings.model_fields["egress"].annotation)
BUCKET_RULES = "aws_s3_bucket_lifecycle_configuration"


@pytest.fixture
def program(tmp_path: Path, schema: Schema, account: Account) -> Program:
    return Program(tmp_path / "program", schema, account.stack())


def tagged(account: Account) -> list[str]:
    """What of the program is left in the account."""
    pages = account.client("resourcegroupstaggingapi").get_paginator("get_resources")
    found = pages.paginate(TagFilters=[{"Key": "project", "Values": ["hf-lambda"]}])
    arns = [each["ResourceARN"] for page in found for each in page["ResourceTagMappingList"]]
    # With their tags a deleted NAT gateway is shown for another hour, and a key for the days until it goes.
    return [arn for arn in arns if ":natgateway/" not in arn and not _is_going(account, arn)]


def _is_going(account: Account, arn: str) -> bool:
    if ":kms:" not in arn:
        return False
    key = account.client("kms").describe_key(KeyId=arn)["KeyMetadata"]
    return bool(key["KeyState"] == "PendingDeletion")


def test_two_stacks_of_one_account_come_and_go(tmp_path: Path, schema: Schema, account: Account):
    dev = Program(tmp_path / "dev", schema, account.stack("dev"), "dev")
    prod = Program(tmp_path / "prod", schema, account.stack("prod"), "prod")
    dev.up()
    prod.up(alarmEmail="ops@example.org", monthlyBudgetUsd=50, hfToken="hf_x", protect=False)
    assert tagged(account)
    dev.destroy()
    assert tagged(account)
    prod.destroy()
    assert not tagged(account)


def test_a_stack_in_another_region_on_the_other_processor(program: Program):
    program.up(architecture="arm64", aws__region="eu-west-1", egress="nat", coldDownload=True)
    program.destroy()


WAYS = (
    (*transitions(("nat", "relay", "ipv6")), "natPerAz", "nat"),
    tuple(transitions(("none", "natPerAz", "relay"))),
)
"""Most of them is waiting, so each is taken in an account of its own.

The engine takes every change from one mode to another (tests/engine/test_transitions.py). Of those it is left
to it to take what differs from one of these by a number of gateways alone, or by who fills the bucket.
"""
ALIKE = {"natPerAz": "nat", "none": "relay"}


def test_the_ways_take_a_transition_of_every_kind_and_some_back():
    taken = {pair for way in WAYS for pair in itertools.pairwise(way)}
    kinds = {tuple(ALIKE.get(mode, mode) for mode in pair) for pair in taken}
    assert kinds >= {*itertools.permutations({*EGRESS} - {*ALIKE}, 2)}
    assert taken >= {*ALIKE.items(), *((other, mode) for mode, other in ALIKE.items())}
    assert {mode for way in WAYS for mode in way} == {*EGRESS}


@pytest.mark.timeout(900)
def test_every_egress_mode_can_be_left_for_every_other(
    tmp_path: Path, schema: Schema, new_accounts: Callable[[], Account]
):
    """The rules of a bucket are left out: nothing depends on them, and the provider looks at them for most of
    a minute whenever they were written, whatever it sees. Where two stacks come and go they are there.
    """
    program = Program(tmp_path / "program", schema, new_accounts().stack("unused"))
    documents = {mode: without(program.document(egress=mode), BUCKET_RULES) for mode in EGRESS}

    def take(way: tuple[str, ...], account: Account) -> None:
        terraform = account.stack()
        for mode in way:
            apply(terraform, documents[mode], mode)
        terraform.destroy()
        assert not tagged(account)

    with ThreadPoolExecutor(len(WAYS)) as pool:
        for taken in [pool.submit(take, way, new_accounts()) for way in WAYS]:
            taken.result()


def without(document: Document, kind: str) -> Document:
    assert sum(address.startswith(f"{kind}.") for address in document.resources) <= 1
    kept = {key: each for key, each in document.resources.items() if not key.startswith(f"{kind}.")}
    left = [address for address in document.resources if address not in kept]
    assert not [each for each in kept.values() if {*left} & {*each["depends_on"]}]
    return replace(document, resources=kept)


@pytest.mark.timeout(1500)
def test_zones_are_added_and_taken_away(program: Program, account: Account, monkeypatch: pytest.MonkeyPatch):
    """Published versions hold the subnets that the functions have left, until the hook deletes them.

    That it runs when an alias has moved is held by tests/infra/test_hooks.py.
    """
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, KEYS[key])
    here = StackAccount(region="us-east-1", endpoints=({"lambda": account.address},))

    def delete_old_versions() -> None:
        for function in account.client("lambda").list_functions()["Functions"]:
            if not function["FunctionName"].startswith("hf-lambda-dev-warmup"):
                delete_versions(function["FunctionName"], 3, here)

    for zones in (1, 3):
        program.up(azCount=zones)
    program.up_as_the_engine(delete_old_versions, azCount=2)
    with pytest.raises(
        TerraformError, match=r"DependencyViolation: .*hf-lambda-dev-sentiment-\w+:\d"
    ) as held:
        program.up_as_the_engine(lambda: None, azCount=1)
    assert "$LATEST" not in str(held.value)
    delete_old_versions()
    program.up()
    program.destroy()


def test_urls_and_provisioned_concurrency_come_and_go(program: Program):
    for url in get_args(Settings.model_fields["function_url"].annotation):
        program.up(functionUrl=url)
    program.up(provisionedConcurrency=1)
    program.up(functionUrl="iam")
    program.up(provisionedConcurrency=0)
    program.destroy()


def test_scripts_are_added_renamed_and_removed(program: Program):
    program.up()
    shutil.copy(program.scripts / "sentiment.py", program.scripts / "another.py")
    program.up()
    (program.scripts / "another.py").rename(program.scripts / "renamed.py")
    program.up()
    (program.scripts / "renamed.py").unlink()
    program.up()
    program.destroy()


def test_what_the_provider_lacks_is_held_by_another_test(schema: Schema):
    """And is still lacking: a newer provider makes the entry superfluous."""
    for argument, test in LACKING.items():
        token, key = argument.split()
        assert schema.arguments(token, {key: True})[1] == [key]
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()
