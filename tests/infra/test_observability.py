"""Dashboard, alarms and budget."""

import json

from tests.infra.asked import Deployed
from tests.infra.program import Deploy

FUNCTIONS = {f"hf-lambda-dev-{name}-id" for name in ("sentiment", "summarization", "warmup")}


def test_the_dashboard_shows_every_function(dev: Deployed):
    body = json.loads(dev.one("cloudwatch/dashboard").inputs["dashboardBody"])
    assert len(body["widgets"]) == 5
    for widget in body["widgets"]:
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


def test_an_address_gets_three_alarms_for_each_function(deploy: Deploy):
    deployed = deploy("dev", alarmEmail="ops@example.com", endpoints={"sentiment": {"timeoutSeconds": 10}})
    subscription = deployed.one("sns/topicSubscription").inputs
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "ops@example.com")
    alarms = deployed.all("cloudwatch/metricAlarm")
    asked = [each.inputs for each in alarms.values()]
    watched = {(each["dimensions"]["FunctionName"], each["metricName"]) for each in asked}
    assert watched == {(name, metric) for name in FUNCTIONS for metric in ("Errors", "Throttles", "Duration")}
    topic = deployed.one("sns/topic")
    arn = f"arn:aws:sns:us-east-1:123456789012:{topic.name}"
    assert {tuple(each["alarmActions"]) for each in asked} == {(arn,)}
    assert {each["treatMissingData"] for each in asked} == {"notBreaching"}
    thresholds = {name: each.inputs["threshold"] for name, each in alarms.items() if "duration" in name}
    nine_tenths_ms = {"sentiment": 9_000, "summarization": 540_000, "warmup": 810_000}
    assert thresholds == {f"{name}-duration": value for name, value in nine_tenths_ms.items()}


def test_a_budget_tells_before_and_when_it_is_spent(deploy: Deploy):
    budget = deploy("dev", alarmEmail="ops@example.com", monthlyBudgetUsd=20).one("budgets/budget").inputs
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("20", "USD", "MONTHLY")
    notices = budget["notifications"]
    assert {(each["notificationType"], each["threshold"]) for each in notices} == {
        *(("ACTUAL", 80), ("FORECASTED", 100))
    }
    assert [each["subscriberEmailAddresses"] for each in notices] == [["ops@example.com"]] * 2
