"""Dashboard, alarms and budget."""

import contextlib
import io
import json
import operator
import re
from typing import Any

from hf_lambda import log
from hf_lambda.log import Stopwatch, Trace
from tests.infra.asked import Deployed
from tests.infra.program import Deploy

FUNCTIONS = {f"hf-lambda-dev-{name}-id" for name in ("sentiment", "summarization", "warmup", "relay")}


def test_the_dashboard_shows_every_function(dev: Deployed):
    body = json.loads(dev.one("cloudwatch/dashboard").inputs["dashboardBody"])
    metrics = [each for each in body["widgets"] if each["type"] == "metric"]
    assert len(metrics) == 5
    for widget in metrics:
        assert {metric[3] for metric in widget["properties"]["metrics"]} == FUNCTIONS
        assert widget["properties"]["region"] == "us-east-1"


def test_the_dashboard_has_a_name_that_no_other_stack_has(dev: Deployed):
    """PutDashboard replaces the content of one of the same name, without a word:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html"""
    suffix = dev.function("warmup").id.rpartition("-")[2]
    assert dev.one("cloudwatch/dashboard").inputs["dashboardName"] == f"hf-lambda-dev-{suffix}"


def test_nobody_is_told_anything_unless_asked_for(dev: Deployed):
    for kind in ("cloudwatch/metricAlarm", "sns/topic", "sns/topicSubscription", "budgets/budget"):
        assert not dev.all(kind)


def test_the_dashboard_asks_the_log_for_latency_cold_starts_and_engines(dev: Deployed):
    body = json.loads(dev.one("cloudwatch/dashboard").inputs["dashboardBody"])
    queries = [each["properties"]["query"] for each in body["widgets"] if each["type"] == "log"]
    groups = [f"SOURCE '/aws/lambda/hf-lambda-dev-{name}'" for name in ("sentiment", "summarization")]
    assert len(queries) == 3
    for query in queries:
        assert query.startswith(f'{" | ".join(groups)} | filter event = "request" | ')
    asked = set(re.findall(r"\b(\w+_ms|endpoint|engine)\b", " ".join(queries)))
    assert asked <= {*log_line(200)}, "the line has no such field"
    assert json.dumps({"cold": True})[1:-1] in queries[1]


def log_line(status: int) -> dict[str, Any]:
    """What an endpoint writes for a request."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        log.request(
            "sentiment", Trace(), Stopwatch(), cold=True, import_ms=1.0, status=status, request_id="1"
        )
    found: dict[str, Any] = json.loads(written.getvalue())
    return found


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """As CloudWatch evaluates a JSON pattern of one kind of operator between its terms:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html"""
    terms = re.findall(r"\$\.(\w+) (=|>=) (\S+)", pattern)
    compare = {"=": operator.eq, ">=": operator.ge}
    held = [key in line and compare[sign](line[key], json.loads(value)) for key, sign, value in terms]
    return any(held) if "||" in pattern else all(held)


def test_failures_that_a_function_answers_are_counted_from_its_log(deploy: Deploy):
    filters = deploy("dev", alarmEmail="ops@example.com").all("cloudwatch/logMetricFilter")
    assert {name: each.inputs["logGroupName"] for name, each in filters.items()} == {
        f"{name}-failures": f"/aws/lambda/hf-lambda-dev-{name}"
        for name in ("sentiment", "summarization", "warmup", "relay")
    }
    for each in filters.values():
        assert "dimensions" not in each.inputs["metricTransformation"]
    pattern = filters["sentiment-failures"].inputs["pattern"]
    counted = {status: matches(pattern, log_line(status)) for status in (200, 400, 413, 500, 503)}
    assert counted == {200: False, 400: False, 413: False, 500: True, 503: True}
    pattern = filters["warmup-failures"].inputs["pattern"]
    events = ("began", "fetched", "failed", "bug", "ended")
    assert [each for each in events if matches(pattern, {"event": each})] == ["failed", "bug"]


def test_traces_are_lambda_s_own_and_off_by_default(deploy: Deploy):
    deployed = deploy("dev", endpoints={"sentiment": {"tracing": "active"}})
    assert deployed.function("sentiment").inputs["tracingConfig"] == {"mode": "Active"}
    # Said, since the provider leaves as it is what it is not told of.
    assert deployed.function("summarization").inputs["tracingConfig"] == {"mode": "PassThrough"}
    allowed = {
        name for name, each in deployed.all("iam/rolePolicy").items() if "xray" in json.dumps(each.policy())
    }
    assert allowed == {"sentiment-cache"}


def test_an_address_gets_alarms_for_each_function(deploy: Deploy):
    deployed = deploy("dev", alarmEmail="ops@example.com", endpoints={"sentiment": {"timeoutSeconds": 10}})
    subscription = deployed.one("sns/topicSubscription").inputs
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "ops@example.com")
    alarms = deployed.all("cloudwatch/metricAlarm")
    asked = [each.inputs for each in alarms.values()]
    watched = {
        (each["dimensions"]["FunctionName"], each["metricName"]) for each in asked if "dimensions" in each
    }
    every = {(name, metric) for name in FUNCTIONS for metric in ("Errors", "Throttles", "Duration")}
    # The warm-up and the relay run until just before their timeout.
    assert watched == every - {(f"hf-lambda-dev-{name}-id", "Duration") for name in ("warmup", "relay")}
    counted = {(each["namespace"], each["metricName"]) for each in asked if "dimensions" not in each}
    filters = [
        each.inputs["metricTransformation"] for each in deployed.all("cloudwatch/logMetricFilter").values()
    ]
    assert counted == {(each["namespace"], each["name"]) for each in filters} and len(counted) == 4
    topic = deployed.one("sns/topic")
    arn = f"arn:aws:sns:us-east-1:123456789012:{topic.name}"
    assert {tuple(each["alarmActions"]) for each in asked} == {(arn,)}
    assert {each["treatMissingData"] for each in asked} == {"notBreaching"}
    thresholds = {name: each.inputs["threshold"] for name, each in alarms.items() if "duration" in name}
    nine_tenths_ms = {"sentiment": 9_000, "summarization": 540_000}
    assert thresholds == {f"{name}-duration": value for name, value in nine_tenths_ms.items()}


def test_a_budget_tells_before_and_when_it_is_spent(deploy: Deploy):
    budget = deploy("dev", alarmEmail="ops@example.com", monthlyBudgetUsd=20).one("budgets/budget").inputs
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("20", "USD", "MONTHLY")
    notices = budget["notifications"]
    assert {(each["notificationType"], each["threshold"]) for each in notices} == {
        *(("ACTUAL", 80), ("FORECASTED", 100))
    }
    assert [each["subscriberEmailAddresses"] for each in notices] == [["ops@example.com"]] * 2
