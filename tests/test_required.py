"""A suite whose tool is missing is skipped with the reason, and fails in CI."""

import pytest

from tests.required import missing


def test_without_its_tool_a_test_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="pulumi is not on PATH"):
        missing("pulumi is not on PATH")


def test_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="pulumi is not on PATH; in CI this suite must run"):
        missing("pulumi is not on PATH")
