"""What checkov's rules say of the stack prod is listed with its reason, and nothing else."""

from typing import Any

import pytest

from tests.provider.checkov import ACCEPTED, Accepted, Failure, failures, mistakes

LISTED = (Accepted("CKV_1", "endpoint-*", "because"), Accepted("CKV_2", "cache", "because"))


def report(*failed: tuple[str, str]) -> dict[str, Any]:
    found = [{"check_id": check, "resource": name, "check_name": "a rule"} for check, name in failed]
    return {"results": {"passed_checks": [{}], "failed_checks": found}}


def test_what_is_listed_may_fail():
    found = failures(report(("CKV_1", "resource.endpoint-a"), ("CKV_2", "aws_efs_file_system.cache")))
    assert found == [Failure("CKV_1", "endpoint-a", "a rule"), Failure("CKV_2", "cache", "a rule")]
    assert not mistakes(found, LISTED)


def test_the_same_rule_of_another_resource_and_another_rule_of_the_same_are_mistakes():
    wrong = (("CKV_1", "resource.warmup"), ("CKV_3", "resource.endpoint-a"))
    found = failures([report(("CKV_1", "resource.endpoint-a"), ("CKV_2", "resource.cache")), report(*wrong)])
    assert mistakes(found, LISTED) == ["CKV_1 warmup: a rule", "CKV_3 endpoint-a: a rule"]


def test_what_is_listed_and_passes_is_a_mistake():
    (line,) = mistakes(failures(report(("CKV_1", "resource.endpoint-a"))), LISTED)
    assert line.startswith("CKV_2 cache: listed as failing, and nothing of it fails")


@pytest.mark.parametrize(
    "empty", [{"passed": 0, "failed": 0}, [], report() | {"results": {"passed_checks": []}}]
)
def test_a_run_that_checked_nothing_is_none(empty):
    with pytest.raises(ValueError, match="checked nothing"):
        failures(empty)


def test_everything_listed_has_a_reason():
    assert all(each.reason.endswith(".") and len(each.reason) > 40 for each in ACCEPTED)
