"""docs/aws-rules.md names every rule of the emulated AWS with its source, and tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.provider.aws.refusals import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "aws-rules.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| rule ")]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ADDRESS = re.compile(r"https://[^\s),;:]+")


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_the_emulated_aws_is_named_with_its_source(name: str):
    rows = [row for row in ROWS if f"`{name}`" in row]
    assert rows
    named = {each.rstrip(".") for each in ADDRESS.findall(RULES[name].source)}
    assert not {each for each in named if not any(each in cells(row)[1] for row in rows)}


def test_no_rule_is_named_that_the_emulated_aws_has_not():
    refused_by = [cells(row)[2] for row in ROWS if len(cells(row)) == 4]
    assert refused_by
    assert {name for cell in refused_by for name in re.findall(r"`(\w+)`", cell)} == set(RULES)


def test_every_row_has_a_source_and_a_test_that_exists_or_says_why_none():
    for row in ROWS:
        _, source, *_, held = cells(row)
        found = TEST.findall(held)
        assert source and (found or held.startswith("none: ")), row
        for path, test in found:
            assert test in names_in(path), f"{path}::{test}"
