"""What a change of each config key creates, updates, replaces and deletes, and that it can be taken back."""

from __future__ import annotations

import pytest
import yaml

from tests.engine.changes import CHANGES
from tests.engine.stack import ROOT, Stack

EXISTING = {"vpcId", "subnetIds", "fileSystemId", "kmsKeyArn"}
"""What these change, tests/engine/test_transitions.py holds: they come before the first deployment."""
KEYS = [key for key in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"] if ":" not in key]


def test_every_key_has_an_expectation():
    assert set(CHANGES) | EXISTING == set(KEYS)


@pytest.mark.slow
@pytest.mark.parametrize("key", CHANGES)
def test_a_change_does_what_is_expected(dev: Stack, key: str):
    change = CHANGES[key]
    assert dev.up(**change.keys(key)) == change.changes


@pytest.mark.slow
def test_a_script_more_adds_its_own_resources_and_changes_only_what_names_it(dev: Stack):
    script = dev.project / "inference" / "sentiment.py"
    (script.parent / "another.py").write_text(script.read_text())
    changes = dev.up()
    assert {"lambda/function hf-lambda-dev-another", "iam/role another"} <= changes.creates
    assert not [each for each in changes.creates if "another" not in each]
    assert not changes.replaces | changes.deletes
    (script.parent / "another.py").unlink()
    assert dev.up().deletes == changes.creates
