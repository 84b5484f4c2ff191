"""Every command in README, CONTRIBUTING and docs/ is one: its program takes what it is given."""

from __future__ import annotations

import pytest

from tests.docs.commands import DOCUMENTS, ROOT, problems, section, shown

COMMANDS = sorted({line for each in DOCUMENTS for line in shown(each.read_text())})


def test_documents_show_commands():
    assert len(COMMANDS) > 60
    assert {line.split()[0] for line in COMMANDS} >= {"make", "pulumi", "aws", "python", "curl"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one_that_its_program_takes(line):
    assert problems(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "make fly",
        "make up HUBB=url",
        "make invoke sentiment",
        "python -m warmup --stak dev",
        "python -m warmup warmer",
        "python -m warmup add org/name --colour x",
        "python -m local.playground",
        "python -m infra.nothing",
        "python -m infra.reference --write",
        "python -m bench.container --write",
        "pulumi fly",
        "pulumi up --fast",
        "pulumi config set memoryMB 5",
        "pulumi config set --path endpoints.chat.egress nat",
        "pulumi config set egress relay && pulumi upp",
        "aws lambda invoke --function x out.json",
        'aws lambda invoke --function-name "$(pulumi stack outputs x)" out.json',
        "pytest tests/nothing",
        "npm install",
        "make up | make fly",
    ],
)
def test_a_command_that_is_none_is_found(line):
    assert problems(line)


def test_commands_are_read_from_consoles_and_sentences():
    text = (
        "# A\n\n## B\n\n```console\n$ make up  # all\nmake down\n```\n\n"
        "Run `make\ndown` or `x`.\n\n## C\n\n`make fix`\n"
    )
    assert [*shown(text)] == ["make up  # all", "make down", "make fix"]
    assert [*shown(section(text, "B"), spans=False)] == ["make up  # all"]
    with pytest.raises(ValueError, match="no heading"):
        section(text, "D")


def test_ci_runs_the_commands_of_the_newcomer():
    """What .ci/main-job runs on one machine is what README shows."""
    text = (ROOT / "README.md").read_text()
    first = [*shown(text.partition("\n## ")[0], spans=False)]
    assert [line.partition("#")[0].split()[:2] for line in first] == [["make", "add"], ["make", "up"]]
    job = (ROOT / ".ci/main-job").read_text()
    assert 'tests.docs.commands README.md "On one machine"' in job
    assert "tests.docs.commands README.md >" in job
    for line in first:
        assert line.partition("#")[0].split()[1] in ("add", "up")
