"""What tells people how the stack is doing: a dashboard, alarms by e-mail, a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from .account import Account
from .function import WARMUP_TIMEOUT_S, InferenceFunction, WarmupFunction
from .naming import function_name, stack_prefix
from .settings import Settings

_NEAR_TIMEOUT = 0.9
_PERIOD_S = 300


class Observability(pulumi.ComponentResource):
    """Dashboard of all functions; with an address, alarms on errors, throttles and duration, and a budget."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        account: Account,
        functions: Mapping[str, InferenceFunction],
        warmup: WarmupFunction,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:Observability", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        if settings.dashboard:
            names = [warmup.name, *(function.name for function in functions.values())]
            aws.cloudwatch.Dashboard(
                name,
                # A generated name, the suffix of a function's: PutDashboard overwrites one of another stack.
                dashboard_name=pulumi.Output.concat(
                    stack_prefix(), "-", warmup.name.apply(lambda name: name.rpartition("-")[2])
                ),
                dashboard_body=pulumi.Output.json_dumps(_dashboard(names, account.region)),
                opts=self._child,
            )
        if settings.alarm_email:
            topic = self._topic(settings.alarm_email)
            self._alarms("warmup", warmup.name, WARMUP_TIMEOUT_S, topic.arn)
            for script, function in functions.items():
                self._alarms(script, function.name, settings.endpoints[script].timeout_seconds, topic.arn)
        if settings.monthly_budget_usd:
            self._budget(settings.monthly_budget_usd, settings.alarm_email)
        self.register_outputs({})

    def _topic(self, email: str) -> aws.sns.Topic:
        topic = aws.sns.Topic(self._name, opts=self._child)
        aws.sns.TopicSubscription(
            self._name, topic=topic.arn, protocol="email", endpoint=email, opts=self._child
        )
        return topic

    def _alarms(
        self, label: str, function: pulumi.Output[str], timeout_s: int, topic_arn: pulumi.Output[str]
    ) -> None:
        rules: dict[str, dict[str, Any]] = {
            "errors": {"metric_name": "Errors", "statistic": "Sum", "threshold": 1},
            "throttles": {"metric_name": "Throttles", "statistic": "Sum", "threshold": 1},
            "duration": {
                "metric_name": "Duration",
                "statistic": "Maximum",
                "threshold": round(timeout_s * 1000 * _NEAR_TIMEOUT),
            },
        }
        for kind, rule in rules.items():
            aws.cloudwatch.MetricAlarm(
                f"{label}-{kind}",
                alarm_description=f"{function_name(label)}: {kind}",
                namespace="AWS/Lambda",
                dimensions={"FunctionName": function},
                comparison_operator="GreaterThanOrEqualToThreshold",
                evaluation_periods=1,
                period=_PERIOD_S,
                treat_missing_data="notBreaching",  # nobody asked, so nothing failed
                alarm_actions=[topic_arn],
                opts=self._child,
                **rule,
            )

    def _budget(self, limit_usd: int, email: str) -> None:
        """Of the account: costs by tag stay at zero until somebody activates the tags for billing."""
        notices = [("ACTUAL", 80), ("FORECASTED", 100)]
        aws.budgets.Budget(
            self._name,
            budget_type="COST",
            limit_amount=str(limit_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": kind,
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": [email],
                }
                for kind, percent in notices
            ],
            opts=self._child,
        )


def _dashboard(functions: list[pulumi.Output[str]], region: str) -> dict[str, Any]:
    graphs = [
        ("Requests", "Invocations", "Sum"),
        ("Errors", "Errors", "Sum"),
        ("Duration, 99th percentile (ms)", "Duration", "p99"),
        ("Instances at once", "ConcurrentExecutions", "Maximum"),
        ("Throttles", "Throttles", "Sum"),
    ]
    widgets = [
        {
            "type": "metric",
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "region": region,
                "stat": statistic,
                "period": _PERIOD_S,
                "metrics": [["AWS/Lambda", metric, "FunctionName", name] for name in functions],
            },
        }
        for title, metric, statistic in graphs
    ]
    return {"widgets": widgets}
