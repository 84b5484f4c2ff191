"""What the README says is what the repository does."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONFIG = {
    key: spec
    for key, spec in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"].items()
    if ":" not in key
}


def test_the_configuration_table_lists_every_key_with_its_default_and_description():
    rows = dict(re.findall(r"^\| `(\w+)`(?: \\\*)? \| (.*) \|$", README, re.MULTILINE))

    assert rows == {
        key: f"`{_shown(spec['default'])}` | {spec['description']}" for key, spec in CONFIG.items()
    }


def test_every_make_target_that_the_documents_name_exists():
    named = {
        target
        for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
        for target in re.findall(r"`?\bmake ([a-z]+)\b(?=[^\n]*`|[ A-Z])", document.read_text())
        if re.search(rf"(`|\$ )make {target}", document.read_text())
    }
    defined = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {"up", "test", "invoke", "down"} <= named
    assert named <= defined


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([\w./-]+?)/?\)", README))))
def test_links_of_the_readme_lead_to_files(name):
    assert (ROOT / name).exists()


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


def _shown(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {each}' for key, each in value.items())}}}"
    return '""' if value == "" else str(value)
