"""What moto lacks and the emulated AWS has; once moto has it, it goes from here."""

import json
from typing import Any

import pytest
from moto.awslambda.responses import LambdaResponse
from moto.budgets.responses import BudgetsResponse
from moto.efs.responses import EFSResponse
from moto.stepfunctions.responses import StepFunctionResponse

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("of", "call"),
    [
        (EFSResponse, "delete_file_system_policy"),
        (LambdaResponse, "put_provisioned_concurrency_config"),
        (BudgetsResponse, "list_tags_for_resource"),
        (StepFunctionResponse, "validate_state_machine_definition"),
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


def test_the_definition_of_a_state_machine_is_checked(aws: Any):
    states = aws("stepfunctions")
    for state, result in (({"Type": "Pass", "End": True}, "OK"), ({"Type": "Task", "End": True}, "FAIL")):
        definition = json.dumps({"StartAt": "One", "States": {"One": state}})
        assert states.validate_state_machine_definition(definition=definition)["result"] == result


def test_a_budget_keeps_its_tags(aws: Any):
    budget = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY"}
    limit = {"BudgetLimit": {"Amount": "5", "Unit": "USD"}}
    tags = [{"Key": "project", "Value": "hf-lambda"}]
    account = "123456789012"
    budgets = aws("budgets")
    budgets.create_budget(AccountId=account, Budget={**budget, **limit}, ResourceTags=tags)
    found = budgets.list_tags_for_resource(ResourceARN=f"arn:aws:budgets::{account}:budget/b")
    assert found["ResourceTags"] == tags


def test_the_number_of_a_version_is_never_given_again(aws: Any):
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html"""
    functions = aws("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws("iam").create_role(RoleName="of-versions", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    code = {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/r@sha256:" + "0" * 64}
    functions.create_function(FunctionName="versions", Role=role, Code=code, PackageType="Image")

    def publish(description: str) -> str:
        functions.update_function_configuration(FunctionName="versions", Description=description)
        return str(functions.publish_version(FunctionName="versions")["Version"])

    assert [publish("a"), publish("b")] == ["1", "2"]
    functions.delete_function(FunctionName="versions", Qualifier="1")
    assert publish("c") == "3"
