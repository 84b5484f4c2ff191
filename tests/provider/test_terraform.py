"""Where Terraform's provider is looked for, and what its messages and plans say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.provider.terraform import PROVIDER, Changes, Installed, find_terraform


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, with a terraform in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "terraform").write_text("#!/bin/sh\n")
    (folder / "terraform").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(tmp_path / "mirror"))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["5.99.1", "5.100.0"],
        [
            "terraform-provider-aws_5.99.1_linux_amd64.zip",
            "terraform-provider-aws_5.100.0_linux_amd64.zip",
            "5.100.0.json",
        ],
    ],
)
def test_the_newest_version_of_a_mirror_is_taken_unpacked_or_packed(
    bin_folder: Path, tmp_path: Path, names: list[str]
):
    folder = tmp_path / "mirror" / PROVIDER
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).mkdir() if name[0] == "5" and not name.endswith("json") else (folder / name).touch()
    assert find_terraform() == Installed(str(bin_folder / "terraform"), tmp_path / "mirror", "5.100.0")


def test_a_mirror_without_the_provider_is_named(bin_folder: Path, tmp_path: Path):
    found = find_terraform()
    assert isinstance(found, str)
    assert str(tmp_path / "mirror") in found
    assert "TF_PLUGIN_MIRROR" in found


def test_without_terraform_that_is_said(bin_folder: Path):
    (bin_folder / "terraform").unlink()
    assert find_terraform() == "terraform is not on PATH"


def test_changes_are_read_from_messages():
    def planned(action: str, address: str) -> str:
        return json.dumps(
            {"type": "planned_change", "change": {"action": action, "resource": {"addr": address}}}
        )

    other = json.dumps({"type": "version", "terraform": "1.11.4"})
    messages = [other, planned("create", "a.a"), planned("replace", "b.b"), planned("read", "c.c")]
    assert Changes.from_messages("\n".join(messages)) == Changes(
        creates=frozenset({"a.a"}), replaces=frozenset({"b.b"})
    )
    assert not Changes.from_messages(other)


def test_a_change_says_which_attributes_differ():
    change = {
        "actions": ["update"],
        "before": {"a": 1, "b": 2},
        "after": {"a": 3, "b": 2},
        "after_unknown": {"c": True},
    }
    found = Changes(updates=frozenset({"x.y"}))
    plan = {"resource_changes": [{"address": "x.y", "change": change}]}
    assert str(found.with_details(plan)) == "updates x.y (a, c)"
