"""What a deployment of this program needs and moto 5.2.5 lacks.

- DeleteFileSystemPolicy: the answer is 500, which every client of AWS repeats for minutes.
- The state of a subnet's IPv6 block: a dictionary as text, so that clients wait for "associated" in vain; and
  to look for a subnet by it.
- The check of a state machine's definition.
- The tags of a budget, and whom it tells, which clients ask for at once.
- Provisioned concurrency; a function's mount, log group and dead-letter
  queue; the description of a security group's rule.
- The length of an access point's id, which Lambda checks.
- The network interfaces of functions, which outlive them.
- Numbers of versions that are never given again, also not after one was deleted.
"""

import inspect
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import unquote

from cfnlint.jsonschema import StandardValidator
from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.awslambda.urls import url_paths as lambda_paths
from moto.budgets.responses import BudgetsResponse
from moto.core.responses import BaseResponse
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.subnets import Subnet
from moto.efs.models import AccessPoint
from moto.efs.responses import EFSResponse
from moto.moto_api._internal import mock_random
from moto.stepfunctions.responses import StepFunctionResponse

JSON = {"Content-Type": "application/json"}
Answer = tuple[int, dict[str, str], str]
provisioned: dict[tuple[str, str], int] = {}
"""(function, qualifier) -> instances."""
newest_version: dict[tuple[str, str], int] = {}
"""(region, function) -> number."""


def delete_file_system_policy(self: EFSResponse) -> Answer:
    file_system = self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]
    file_system.file_system_policy = None
    return 204, JSON, ""


def put_provisioned_concurrency_config(self: LambdaResponse) -> Answer:
    provisioned[_key(self)] = json.loads(self.body)["ProvisionedConcurrentExecutions"]
    return 202, JSON, _config(provisioned[_key(self)])


def get_provisioned_concurrency_config(self: LambdaResponse) -> Answer:
    if _key(self) in provisioned:
        return 200, JSON, _config(provisioned[_key(self)])
    error = {"Type": "User", "Message": f"no provisioned concurrency for {_key(self)}"}
    return (
        404,
        {**JSON, "x-amzn-errortype": "ProvisionedConcurrencyConfigNotFoundException"},
        json.dumps(error),
    )


def delete_provisioned_concurrency_config(self: LambdaResponse) -> Answer:
    provisioned.pop(_key(self), None)
    return 204, JSON, ""


def _key(self: BaseResponse) -> tuple[str, str]:
    function = unquote(self.path.split("/functions/")[1].split("/")[0]).rpartition(":")[2]
    if not any(function == known["FunctionName"] for known in _functions(self)):
        raise UnknownFunctionException(function)
    return function, self._get_param("Qualifier")


def _functions(self: Any) -> list[dict[str, Any]]:
    return [known.get_configuration() for known in self.backend.list_functions()]


def _config(instances: int) -> str:
    names = ("Requested", "Available", "Allocated")
    counts = {f"{name}ProvisionedConcurrentExecutions": instances for name in names}
    return json.dumps({**counts, "Status": "READY", "LastModified": "2026-01-01T00:00:00+0000"})


budget_tags: dict[str, list[dict[str, str]]] = {}
"""Name of a budget -> its tags."""


def create_budget(self: BudgetsResponse) -> Any:
    budget_tags[self._get_param("Budget")["BudgetName"]] = self._get_param("ResourceTags") or []
    return moto_create_budget(self)


def list_tags_for_resource(self: BudgetsResponse) -> str:
    name = self._get_param("ResourceARN").rpartition("/")[2]
    return json.dumps({"ResourceTags": budget_tags.get(name, [])})


moto_create_budget = BudgetsResponse.create_budget


def describe_subscribers_for_notification(self: BudgetsResponse) -> str:
    account, name = self._get_param("AccountId"), self._get_param("BudgetName")
    asked, budget = self._get_param("Notification"), self.backend.budgets[account][name]
    keys = ("NotificationType", "Threshold")
    found = [each for each in budget.notifications if all(each.details[key] == asked[key] for key in keys)]
    return json.dumps({"Subscribers": [one for each in found for one in each.subscribers]})


def validate_state_machine_definition(self: StepFunctionResponse) -> str:
    """By the schema of cfn-lint; the provider asks at every plan."""
    folder = resources.files("cfnlint.data.schemas.other.step_functions")
    validator = StandardValidator(json.loads((folder / "statemachine.json").read_text()))
    found = [
        {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": error.message}
        for error in validator.iter_errors(json.loads(self._get_param("definition")))
    ]
    return json.dumps({"result": "FAIL" if found else "OK", "diagnostics": found, "truncated": False})


def ipv6_blocks(self: Subnet) -> list[dict[str, Any]]:
    return [
        {
            "ipv6CidrBlock": block["ipv6CidrBlock"],
            "associationId": block["associationId"],
            "ipv6CidrBlockState": {"state": block["ipv6CidrBlockState"]["State"]},
        }
        for block in self.ipv6_cidr_block_associations.values()
        if block["ipv6CidrBlockState"]["State"] == "associated"
    ]


def subnet_filter(self: Subnet, filter_name: str, method_name: str | None = None) -> Any:
    if filter_name == "ipv6-cidr-block-association.association-id":
        return list(self.ipv6_cidr_block_associations)
    return moto_subnet_filter(self, filter_name, method_name)


def description(self: SecurityGroupRule) -> Any:
    return (self.ip_range or self.source_group or self.to_prefix_list).get("Description")


def rule_init(self: SecurityGroupRule, *arguments: Any, **keys: Any) -> None:
    moto_rule_init(self, *arguments, **keys)
    given = inspect.signature(moto_rule_init).bind(self, *arguments, **keys).arguments
    self.to_prefix_list = given.get("prefix_list_id") or {}


_KEPT = ("FileSystemConfigs", "LoggingConfig", "DeadLetterConfig")


def lambda_init(self: LambdaFunction, *arguments: Any, **keys: Any) -> None:
    moto_init(self, *arguments, **keys)
    spec = arguments[1] if len(arguments) > 1 else keys["spec"]
    self.configured = {key: spec[key] for key in _KEPT if key in spec}
    _attach(self)


@dataclass(frozen=True)
class Interface:
    """Of Lambda, in a subnet: it stays when its function goes, until Lambda has deleted it."""

    role: str
    subnet: str
    groups: frozenset[str]


interfaces: set[Interface] = set()
"""Every one that was ever made. `refusals` says which of them are left."""


def _attach(self: LambdaFunction) -> None:
    config = self._vpc_config or {}
    groups = frozenset(config.get("SecurityGroupIds") or [])
    interfaces.update(Interface(self.role, subnet, groups) for subnet in config.get("SubnetIds") or [])


def lambda_update(self: LambdaFunction, config_updates: dict[str, Any]) -> dict[str, Any]:
    updated: dict[str, Any] = moto_update(self, config_updates)
    self.configured |= {key: config_updates[key] for key in _KEPT if key in config_updates}
    _attach(self)
    return updated


def lambda_configuration(self: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
    return {**moto_configuration(self, on_create), **self.configured}


def set_version(self: LambdaFunction, version: int) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html"""
    key = (self.region, self.function_name)
    newest_version[key] = max(version, newest_version.get(key, 0) + 1)
    moto_set_version(self, newest_version[key])


def access_point_init(self: AccessPoint, *arguments: Any, **keys: Any) -> None:
    moto_access_point_init(self, *arguments, **keys)
    rest = mock_random.get_random_hex(17 - len(self.access_point_id.removeprefix("fsap-")))
    self.access_point_id += rest
    self.access_point_arn += rest


moto_access_point_init = AccessPoint.__init__
moto_subnet_filter = Subnet.get_filter_value
moto_rule_init = SecurityGroupRule.__init__
moto_set_version = LambdaFunction.set_version
moto_init, moto_configuration = LambdaFunction.__init__, LambdaFunction.get_configuration
moto_update = LambdaFunction.update_configuration


def fill_gaps() -> None:
    """Give moto's classes what is above."""
    LambdaFunction.__init__, LambdaFunction.get_configuration = lambda_init, lambda_configuration
    LambdaFunction.update_configuration = lambda_update
    LambdaFunction.set_version = set_version
    SecurityGroupRule.__init__ = rule_init
    AccessPoint.__init__ = access_point_init
    SecurityGroupRule.description = property(description)
    BudgetsResponse.create_budget = create_budget
    BudgetsResponse.list_tags_for_resource = list_tags_for_resource
    BudgetsResponse.describe_subscribers_for_notification = describe_subscribers_for_notification
    StepFunctionResponse.validate_state_machine_definition = validate_state_machine_definition
    Subnet.ipv6_cidr_block_association_set = property(ipv6_blocks)
    Subnet.get_filter_value = subnet_filter
    EFSResponse.delete_file_system_policy = delete_file_system_policy
    for call in (
        put_provisioned_concurrency_config,
        get_provisioned_concurrency_config,
        delete_provisioned_concurrency_config,
    ):
        setattr(LambdaResponse, call.__name__, call)
    path = r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/provisioned-concurrency/?$"
    lambda_paths[path] = LambdaResponse.dispatch
