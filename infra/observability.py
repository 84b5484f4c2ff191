"""What tells people how the stack is doing: a dashboard, alarms by e-mail, a budget."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .account import Account
from .encryption import Encryption
from .function import InferenceFunction, RelayFunction, ReleaseFunction, WarmupFunction
from .naming import RELAY, RELEASE, function_name, stack_prefix
from .safeguards import Safeguards
from .settings import Settings

_NEAR_TIMEOUT = 0.9
_PERIOD_S = 300
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
_FAILED_REQUEST = '{ $.event = "request" && $.status >= 500 }'
_FAILED_WARMUP = '{ $.event = "failed" || $.event = "bug" }'


class Observability(pulumi.ComponentResource):
    """Dashboard of all functions; with an address, alarms on what fails or nearly does, and a budget."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        account: Account,
        functions: Mapping[str, InferenceFunction],
        warmup: WarmupFunction | None,
        relay: RelayFunction | None,
        release: ReleaseFunction | None,
        safeguards: Safeguards,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:Observability", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        own = (("warmup", warmup), (RELAY, relay), (RELEASE, release))
        workers = {label: each for label, each in own if each}
        if settings.dashboard:
            names = [each.name for each in (*workers.values(), *functions.values())]
            logs = [function.log_group for function in functions.values()]
            aws.cloudwatch.Dashboard(
                name,
                # A generated name, the suffix of a function's: PutDashboard overwrites one of another stack.
                dashboard_name=pulumi.Output.concat(
                    stack_prefix(), "-", names[0].apply(lambda name: name.rpartition("-")[2])
                ),
                dashboard_body=pulumi.Output.json_dumps(_dashboard(names, logs, account.region)),
                opts=self._child,
            )
        email = settings.keep_secret("alarmEmail", settings.alarm_email)
        if settings.alarm_email:
            topic = self._topic(email, safeguards.encryption)
            if safeguards.dead_letters:
                self._alarm(
                    "dead-letters",
                    f"{stack_prefix()}: asynchronous invocations that failed for good",
                    topic.arn,
                    namespace="AWS/SQS",
                    dimensions={"QueueName": safeguards.dead_letters.name},
                    metric_name="ApproximateNumberOfMessagesVisible",
                    statistic="Maximum",
                    threshold=1,
                )
            # They run until just before their timeout, and say then what is left: a duration tells nothing.
            for label, worker in workers.items():
                self._alarms(label, worker, _FAILED_WARMUP, None, topic.arn)
            for script, function in functions.items():
                timeout_s = settings.endpoints[script].timeout_seconds
                self._alarms(script, function, _FAILED_REQUEST, timeout_s, topic.arn)
        if settings.monthly_budget_usd:
            self._budget(settings.monthly_budget_usd, email)
        self.register_outputs({})

    def _topic(self, email: pulumi.Input[str], encryption: Encryption) -> aws.sns.Topic:
        topic = aws.sns.Topic(self._name, kms_master_key_id=encryption.key_arn, opts=self._child)
        aws.sns.TopicSubscription(
            self._name, topic=topic.arn, protocol="email", endpoint=email, opts=self._child
        )
        return topic

    def _alarm(self, name: str, description: str, topic_arn: pulumi.Output[str], **rule: Json) -> None:
        aws.cloudwatch.MetricAlarm(
            name,
            alarm_description=description,
            comparison_operator="GreaterThanOrEqualToThreshold",
            evaluation_periods=1,
            period=_PERIOD_S,
            treat_missing_data="notBreaching",  # nobody asked, so nothing failed
            alarm_actions=[topic_arn],
            opts=self._child,
            **rule,
        )

    def _alarms(
        self,
        label: str,
        function: InferenceFunction | WarmupFunction | RelayFunction | ReleaseFunction,
        failed: str,  # the pattern of a line of its log
        timeout_s: int | None,
        topic_arn: pulumi.Output[str],
    ) -> None:
        """Lambda counts what crashed or timed out as errors; failures that are answered are in the log."""
        of_lambda = {"namespace": "AWS/Lambda", "dimensions": {"FunctionName": function.name}}
        in_log = {"namespace": stack_prefix(), "metric_name": f"{label}-failures"}
        aws.cloudwatch.LogMetricFilter(
            f"{label}-failures",
            log_group_name=function.log_group,
            pattern=failed,
            metric_transformation={
                "namespace": in_log["namespace"],
                "name": in_log["metric_name"],
                "value": "1",
            },
            opts=self._child,
        )
        rules: dict[str, dict[str, Json]] = {
            "errors": {**of_lambda, "metric_name": "Errors", "statistic": "Sum", "threshold": 1},
            "failures": {**in_log, "statistic": "Sum", "threshold": 1},
            "throttles": {**of_lambda, "metric_name": "Throttles", "statistic": "Sum", "threshold": 1},
        }
        if timeout_s is not None:
            rules["duration"] = {
                **of_lambda,
                "metric_name": "Duration",
                "statistic": "Maximum",
                "threshold": round(timeout_s * 1000 * _NEAR_TIMEOUT),
            }
        for kind, rule in rules.items():
            self._alarm(f"{label}-{kind}", f"{function_name(label)}: {kind}", topic_arn, **rule)

    def _budget(self, limit_usd: int, email: pulumi.Input[str]) -> None:
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


def _dashboard(
    functions: list[pulumi.Output[str]], logs: list[pulumi.Output[str]], region: str
) -> dict[str, Json]:
    graphs = [
        ("Requests", "Invocations", "Sum"),
        ("Errors", "Errors", "Sum"),
        ("Duration, 99th percentile (ms)", "Duration", "p99"),
        ("Instances at once", "ConcurrentExecutions", "Maximum"),
        ("Throttles", "Throttles", "Sum"),
    ]
    metrics = [
        _widget(
            "metric",
            title=title,
            region=region,
            stat=statistic,
            period=_PERIOD_S,
            metrics=[["AWS/Lambda", metric, "FunctionName", name] for name in functions],
        )
        for title, metric, statistic in graphs
    ]
    # A custom metric is billed by the month, a query by what it reads, when somebody looks.
    queries = [
        (
            "Requests by the endpoint's own clock (ms)",
            "timeSeries",
            "stats pct(total_ms, 50) as p50, pct(total_ms, 99) as p99 by bin(5m)",
        ),
        (
            "Cold starts",
            "timeSeries",
            """filter @message like '"cold": true' | stats count() as cold_starts by bin(5m)""",
        ),
        (
            "Load and inference by engine (ms)",
            "table",
            "stats avg(load_ms), avg(infer_ms), count() as requests by endpoint, engine",
        ),
    ]
    sources = pulumi.Output.all(*logs).apply(lambda names: " | ".join(f"SOURCE '{name}'" for name in names))
    return {
        "widgets": [
            *metrics,
            *(
                _widget(
                    "log",
                    title=title,
                    region=region,
                    view=view,
                    query=pulumi.Output.concat(sources, ' | filter event = "request" | ', query),
                )
                for title, view, query in queries
            ),
        ]
    }


def _widget(kind: str, **properties: Json) -> dict[str, Json]:
    return {"type": kind, "width": 12, "height": 6, "properties": properties}
