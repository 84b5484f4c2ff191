"""One call of the emulated API, with its parameters as AWS's own model of the API names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import OperationModel
from moto.awslambda.utils import get_backend as lambda_backend
from moto.backends import get_backend
from moto.core.responses import BaseResponse
from moto.core.utils import get_service_model


@dataclass(frozen=True)
class Limits:
    """What an account is held to."""

    concurrency: int = 1000
    """Concurrent executions of all functions."""
    unreserved: int = 100
    """Of these, how many no function may reserve."""
    memory_mb: int = 10240
    """Memory of one function."""
    without_lambda: frozenset[str] = frozenset({"us-east-1e"})
    """Zones in which Lambda runs nothing. AWS lists none: which zone it is, if any, differs by account."""


NEW_ACCOUNT = Limits(concurrency=10, unreserved=10, memory_mb=3008)
"""What new accounts are often held to.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html says that new accounts have less
concurrency and memory; the figures are what their users report
(https://github.com/aws-samples/sample-one-click-generative-ai-solutions/issues/3).
"""


@dataclass(frozen=True)
class Call:
    service: str
    """As boto3 names its client, for instance `efs`."""
    model: OperationModel
    parameters: Mapping[str, Any]
    account: str
    region: str
    limits: Limits

    @property
    def operation(self) -> str:
        """For instance `lambda:CreateFunction`."""
        return f"{self.service}:{self.model.name}"

    def backend(self, service: str) -> Any:
        """What moto keeps of a service in the account and region of this call."""
        if service == "lambda":  # one of two, for functions that run or are recorded
            return lambda_backend(self.account, self.region)
        backends: Any = get_backend(service)
        return backends[self.account]["aws" if service == "iam" else self.region]


def read_call(response: BaseResponse, limits: Limits) -> Call | None:
    """What `response` is asked for; None where AWS's model of the API does not know it."""
    action = response._get_action()
    model = get_service_model(response.boto3_service_name)
    if action not in model.operation_names:
        return None
    if not response.automated_parameter_parsing:
        response.parse_parameters(response.normalized_request)
    operation, account = model.operation_model(action), response.current_account
    return Call(response.boto3_service_name, operation, response.params, account, response.region, limits)
