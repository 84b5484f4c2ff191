"""Pulumi's own `aws:` keys reach the provider, and every client of ours asks AWS as the provider does."""

import json
from collections.abc import Iterator

import boto3
import pulumi
import pytest
from moto import mock_aws

from infra.account import Account
from tests.infra.program import Deploy

ROLE = {"roleArn": "arn:aws:iam::123456789012:role/deployer", "externalId": "ours"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{key}", "x")
    with mock_aws():
        yield


def test_the_provider_gets_region_and_default_tags_and_nothing_that_is_not_set(deploy: Deploy):
    inputs = deploy("dev").one("pulumi:providers").inputs
    assert {key for key in inputs if not key.startswith("skip")} == {"region", "defaultTags"}


def test_the_keys_of_a_team_reach_the_provider(deploy: Deploy):
    inputs = (
        deploy(
            "dev",
            aws__allowedAccountIds=["123456789012"],
            aws__forbiddenAccountIds=["210987654321"],
            aws__assumeRoles=[ROLE],
            aws__ignoreTags={"keyPrefixes": ["cost:"]},
            aws__endpoints=[{"ecr": "https://ecr.example.com"}],
            aws__retryMode="adaptive",
            aws__maxRetries=7,
        )
        .one("pulumi:providers")
        .inputs
    )
    assert json.loads(inputs["allowedAccountIds"]) == ["123456789012"]
    assert json.loads(inputs["forbiddenAccountIds"]) == ["210987654321"]
    assert json.loads(inputs["assumeRoles"]) == [{**ROLE, "sessionName": "hf-lambda"}]
    assert json.loads(inputs["ignoreTags"]) == {"keyPrefixes": ["cost:"]}
    assert json.loads(inputs["endpoints"]) == [{"ecr": "https://ecr.example.com"}]
    assert (inputs["retryMode"], json.loads(inputs["maxRetries"])) == ("adaptive", 7)


def test_a_client_takes_the_roles_one_after_the_other(aws: None):
    iam = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    roles = [
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        for name in ("first", "second")
    ]
    account = Account.model_validate(
        {"region": "us-east-1", "assumeRoles": json.dumps([{"roleArn": role} for role in roles])}
    )
    caller = account.client("sts").get_caller_identity()["Arn"]
    assert caller == "arn:aws:sts::123456789012:assumed-role/second/hf-lambda"


def test_a_client_asks_where_and_as_often_as_the_provider():
    account = Account.model_validate(
        {
            "region": "eu-west-1",
            "endpoints": '[{"ecr": "https://ecr.example.com"}, {"lambda": "https://lambda.example.com"}]',
            "retryMode": "adaptive",
            "maxRetries": "7",
        }
    )
    client = account.client("lambda")
    assert client.meta.endpoint_url == "https://lambda.example.com"
    assert client.meta.config.retries == {"mode": "adaptive", "total_max_attempts": 7}  # type: ignore[attr-defined]
    assert client.meta.region_name == "eu-west-1"


def test_credentials_that_cannot_be_had_stop_the_program_with_a_sentence():
    account = Account.model_validate({"region": "us-east-1", "profile": "of-nobody"})
    with pytest.raises(pulumi.RunError, match=r"no usable AWS credentials: .*of-nobody.*Set AWS_PROFILE or"):
        account.client("ecr")


def test_a_client_is_refused_to_credentials_of_an_account_that_is_not_allowed(aws: None):
    account = Account.model_validate({"region": "us-east-1", "allowedAccountIds": '["210987654321"]'})
    with pytest.raises(pulumi.RunError, match=r"of account 123456789012, which this stack does not allow"):
        account.client("ecr")
