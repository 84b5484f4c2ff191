"""The table of config keys is written, not kept by hand."""

import yaml

from infra.reference import with_table
from tests.infra.program import ROOT

PAGE = (ROOT / "docs/configuration.md").read_text()
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())


def test_the_page_has_the_table_of_today():
    assert with_table(PAGE, PROJECT) == PAGE


def test_another_key_is_another_row_and_nothing_else_changes():
    key = {"type": "integer", "description": "How many.", "default": 3}
    written = with_table(PAGE, {"config": {**PROJECT["config"], "colours": key}})
    before, after = written.split("| `colours` | `3` | How many. |\n")
    assert before + after == PAGE


def test_a_key_that_is_gone_is_a_row_that_is_gone():
    left = {name: key for name, key in PROJECT["config"].items() if name != "protect"}
    assert "| `protect` |" not in with_table(PAGE, {"config": left})
