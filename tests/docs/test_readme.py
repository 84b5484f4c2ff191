"""What README and docs/ say is what the repository does."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.commands import DOCUMENTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TABLE = (ROOT / "docs/configuration.md").read_text()
CONFIG = {
    key: spec
    for key, spec in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"].items()
    if ":" not in key
}


def test_the_configuration_table_lists_every_key_with_its_default_and_description():
    rows = dict(re.findall(r"^\| `(\w+)`(?: \\\*)? \| (.*) \|$", TABLE, re.MULTILINE))

    assert rows == {
        key: f"`{_shown(spec['default'])}` | {spec['description']}" for key, spec in CONFIG.items()
    }


def test_readme_is_a_path_and_not_a_manual():
    assert len(README.splitlines()) <= 200


def test_the_index_leads_to_every_page():
    index = (ROOT / "docs/index.md").read_text()
    named = set(re.findall(r"^\| \[\S+\]\(([\w-]+\.md)\)", index, re.MULTILINE))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_links_are_found():
    text = '[a](b.md), [c](d.md#e-f), [g](https://example.com) <img src="h.png">, [i](#j)'
    assert _links(text) == ["b.md", "d.md#e-f", "#j", "h.png"]
    assert _links(README)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(document):
    text = document.read_text()
    for link in _links(text):
        path, _, heading = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not heading or heading in _anchors(target.read_text()), link


def test_the_script_shown_first_is_a_script_that_the_program_accepts(tmp_path):
    from discovery import read_scripts

    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert source
    (tmp_path / "sentiment.py").write_text(source[1])

    (script,) = read_scripts(tmp_path)
    shipped = next(s for s in read_scripts(ROOT / "inference") if s.name == "sentiment")

    assert [(p.task, p.model, p.revision) for p in script.pipelines] == [
        (p.task, p.model, p.revision) for p in shipped.pipelines
    ]


def test_no_text_names_a_package_registry():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    hosts = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org")

    naming = [
        name
        for name in tracked
        if name
        and (ROOT / name).is_file()
        and any(host.encode() in (ROOT / name).read_bytes() for host in hosts)
    ]

    assert naming == []


def _links(text):
    return re.findall(r"\]\(([^)\s:]+)\)", text) + re.findall(r'(?:src|href)="([^":]+)"', text)


def _anchors(text):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def _shown(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {each}' for key, each in value.items())}}}"
    return '""' if value == "" else str(value)
