"""The emulator with the calls that moto lacks; once moto has them, they go from here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.awslambda.responses import LambdaResponse
from moto.budgets.responses import BudgetsResponse
from moto.efs.responses import EFSResponse

from tests.infra.program import ROOT

SCRIPT = ROOT / "tests" / "infra" / "moto_server.py"


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    """`aws("efs")` is a client of a server on a free port."""
    command = [sys.executable, "-u", str(SCRIPT), "-p", "0"]
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **keys})
    assert server.stderr
    address = next(line.split()[-1] for line in server.stderr if "Running on" in line)
    settings = Config(retries={"max_attempts": 0})

    def client(service: Any) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=address,
            config=settings,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    yield client
    server.terminate()
    server.wait()
    server.stderr.close()


@pytest.mark.parametrize(
    ("of", "call"),
    [
        (EFSResponse, "delete_file_system_policy"),
        (LambdaResponse, "put_provisioned_concurrency_config"),
        (BudgetsResponse, "list_tags_for_resource"),
        (BudgetsResponse, "describe_subscribers_for_notification"),
    ],
)
def test_moto_still_lacks_the_call(of: type, call: str):
    assert not hasattr(of, call)


def test_a_file_systems_policy_can_be_deleted(aws: Any):
    efs = aws("efs")
    file_system = efs.create_file_system()["FileSystemId"]
    efs.put_file_system_policy(FileSystemId=file_system, Policy="{}")
    efs.delete_file_system_policy(FileSystemId=file_system)
    with pytest.raises(efs.exceptions.PolicyNotFound):
        efs.describe_file_system_policy(FileSystemId=file_system)


def test_a_subnets_ipv6_block_is_associated(aws: Any):
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    block = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.0.0.0/24", Ipv6CidrBlock=block)["Subnet"]
    (association,) = subnet["Ipv6CidrBlockAssociationSet"]
    assert association["Ipv6CidrBlockState"] == {"State": "associated"}
