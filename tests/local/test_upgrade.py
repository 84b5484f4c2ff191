"""`make upgrade` between real repositories: the project's releases, and checkouts of its users."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local.upgrade import UpgradeError, changelog_since, is_users, lines_of, upgrade

ROOT = Path(__file__).parents[2]
LOG = """# Changelog

## [0.2.0] - 2026-02-01

### Added
- Faster.

### Upgrade
- Run `pulumi config set egress nat` first.

## [0.1.0] - 2026-01-01

### Added
- All of it.
"""
FIRST = {
    "Pulumi.yaml": "name: hf-lambda\ndescription: of the project\nconfig: 1\n",
    "CHANGELOG.md": LOG.partition("## [0.2.0]")[0] + "## [0.1.0]" + LOG.partition("## [0.1.0]")[2],
    "infra/settings.py": "one = 1\n",
    "infra/old.py": "old\n",
    "inference/Dockerfile": "FROM one\n",
    "inference/sentiment.py": "of the project\n",
    "Pulumi.dev.yaml": "config: {}\n",
}
SECOND = {
    **FIRST,
    "Pulumi.yaml": "name: hf-lambda\ndescription: of the project\nconfig: 2\n",
    "CHANGELOG.md": LOG,
    "infra/settings.py": "two = 2\n",
    "infra/new.py": "new\n",
    "inference/Dockerfile": "FROM two\n",
    "inference/sentiment.py": "of the project, newer\n",
    "Pulumi.dev.yaml": "config: {newer: 1}\n",
}
del SECOND["infra/old.py"]


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=me", "-c", "user.email=me@localhost", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def texts(folder: Path) -> dict[str, str]:
    found = git(folder, "ls-files", "--cached", "--others").split()
    return {path: (folder / path).read_text() for path in found if (folder / path).exists()}


def release(project: Path, files: dict[str, str], tag: str) -> None:
    for path in git(project, "ls-files").split():
        if path not in files:
            (project / path).unlink()
    write(project, files)
    git(project, "add", "-A")
    git(project, "commit", "-q", "--allow-empty", "-m", tag)
    git(project, "tag", tag)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with three releases of which the last two differ from the first."""
    folder = tmp_path_factory.mktemp("project")
    git(folder, "init", "-q")
    release(folder, FIRST, "v0.1.0")
    release(folder, SECOND, "v0.2.0")
    release(folder, {**SECOND, "infra/settings.py": "ten = 10\n"}, "v0.10.0")
    return folder


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without anybody's settings of git."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(scope="module")
def made(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user made of the first release: a script and a stack of their own, and another sentiment.py."""
    folder = tmp_path_factory.mktemp("made") / "checkout"
    git(project, "clone", "-q", str(project), str(folder))
    git(folder, "reset", "-q", "--hard", "v0.1.0")
    mine = {"inference/mine.py": "mine\n", "inference/sentiment.py": "mine too\n", "notes.md": "x\n"}
    write(folder, {**mine, "Pulumi.prod.yaml": "config: {mine: 1}\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "mine")
    return folder


@pytest.fixture
def checkout(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "checkout")


def test_a_release_comes_in_beside_what_is_the_user_s(checkout: Path):
    write(checkout, {"inference/mine.py": "mine, not committed\n", "inference/draft.py": "draft\n"})
    found = upgrade(checkout, "0.2.0", None)
    assert texts(checkout) == {
        **SECOND,
        "inference/mine.py": "mine, not committed\n",
        "inference/draft.py": "draft\n",
        "inference/sentiment.py": "mine too\n",
        "notes.md": "x\n",
        "Pulumi.prod.yaml": "config: {mine: 1}\n",
        "Pulumi.dev.yaml": "config: {}\n",
    }
    assert found.written == (
        *("CHANGELOG.md", "Pulumi.yaml", "inference/Dockerfile", "infra/new.py", "infra/settings.py"),
    )
    assert (found.removed, found.kept) == (
        ("infra/old.py",),
        ("Pulumi.dev.yaml", "inference/sentiment.py"),
    )
    # What is the user's and not committed is still so, and nothing else is.
    assert git(checkout, "status", "--porcelain").splitlines() == [
        " M inference/mine.py",
        "?? inference/draft.py",
    ]


def test_tags_of_the_user_s_own_are_no_releases_and_stay(checkout: Path):
    git(checkout, "tag", "-f", "v0.2.0", "HEAD")
    git(checkout, "tag", "v7.0.0")
    mine = git(checkout, "show-ref", "--tags")
    assert upgrade(checkout, None, None).release == "v0.10.0"
    assert git(checkout, "show-ref", "--tags") == mine


def test_the_next_upgrade_starts_from_the_last(checkout: Path):
    upgrade(checkout, "v0.2.0", None)
    found = upgrade(checkout, None, None)
    assert (found.before, found.release, found.written) == ("v0.2.0", "v0.10.0", ("infra/settings.py",))
    again = upgrade(checkout, None, None)
    assert not again.is_new and again.commit is None
    assert "nothing to do" in "".join(lines_of(again, dry_run=False))


def test_the_way_back_that_it_names_is_one(checkout: Path):
    before = texts(checkout)
    write(checkout, {"inference/draft.py": "draft\n"})
    lines = [*lines_of(upgrade(checkout, None, None), dry_run=False)]
    assert "back: git reset --keep HEAD~1" in lines
    git(checkout, "reset", "-q", "--keep", "HEAD~1")
    assert texts(checkout) == {**before, "inference/draft.py": "draft\n"}


def test_changelog_says_what_a_stack_must_do(checkout: Path):
    found = upgrade(checkout, None, None)
    assert found.to_do == "0.2.0\n- Run `pulumi config set egress nat` first."
    assert found.changes == "0.2.0 Added\n- Faster."
    text = "\n".join(lines_of(found, dry_run=False))
    assert "what your stacks must do:\n0.2.0\n- Run `pulumi config set egress nat` first." in text
    grown = LOG.replace("- All of it.", "- All of it.\n- And more.")
    assert changelog_since(grown, LOG) == ("", "0.1.0 Added\n- And more.")
    assert changelog_since(LOG, LOG) == ("", "")


def test_the_project_s_own_changelog_is_one_that_it_reads():
    to_do, changes = changelog_since((ROOT / "CHANGELOG.md").read_text(), "")
    assert to_do.startswith("0.1.0\n- ") and "pulumi config set egress nat" in to_do
    assert "0.1.0 Added\n- " in changes and "- `make upgrade`" in changes


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("infra/settings.py", "mine\n"),
        ("infra/old.py", None),
        ("infra/new.py", "mine\n"),
        ("Pulumi.yaml", "x: 1\n"),
    ],
    ids=["changed", "deleted", "in the way", "more than the name"],
)
def test_a_project_file_that_was_changed_here_stops_it(
    checkout: Path, path: str, text: str | None, committed: bool
):
    if text is None:
        (checkout / path).unlink()
        # It is gone from the release too: then there is nothing to lose.
        path = "infra/settings.py"
        (checkout / path).unlink()
    else:
        write(checkout, {path: text})
    if committed:
        git(checkout, "add", "-A")
        git(checkout, "commit", "-q", "-m", "mine")
    before, head = texts(checkout), git(checkout, "rev-parse", "HEAD")
    with pytest.raises(UpgradeError) as refused:
        upgrade(checkout, "0.2.0", None)
    assert f"\n  {path}\n" in str(refused.value) and "infra/old.py" not in str(refused.value)
    assert "git apply -3 mine.patch" in str(refused.value)
    assert (texts(checkout), git(checkout, "rev-parse", "HEAD")) == (before, head)


def test_what_it_says_to_do_about_changes_does_it(checkout: Path):
    write(
        checkout, {"infra/settings.py": "one = 1\nmine = 3\n", "inference/Dockerfile": "FROM one\nRUN mine\n"}
    )
    with pytest.raises(UpgradeError) as refused:
        upgrade(checkout, "0.2.0", None)
    commands = [
        line.partition("git ")[2]
        for line in str(refused.value).splitlines()
        if ": " in line and "git " in line
    ]
    keep, take_back = commands[0], commands[1]
    subprocess.run(["sh", "-ec", f"git {keep} && git {take_back}"], cwd=checkout, check=True, timeout=60)
    upgrade(checkout, "0.2.0", None)
    assert (checkout / "infra/settings.py").read_text() == "two = 2\n"
    assert "+mine = 3" in (checkout / "mine.patch").read_text()


def test_one_that_was_killed_half_way_is_finished_by_the_next(checkout: Path):
    whole = shutil.copytree(checkout, checkout.with_name("whole"))
    upgrade(whole, "0.2.0", None)
    # Files are written, the branch has not moved.
    write(
        checkout, {"infra/settings.py": SECOND["infra/settings.py"], "infra/new.py": SECOND["infra/new.py"]}
    )
    git(checkout, "add", "infra/new.py")
    (checkout / "infra/old.py").unlink()
    upgrade(checkout, "0.2.0", None)
    assert texts(checkout) == texts(whole)
    assert git(checkout, "status", "--porcelain") == ""


def test_a_dry_run_says_the_same_and_writes_nothing(checkout: Path):
    before, head = texts(checkout), git(checkout, "rev-parse", "HEAD")
    planned = upgrade(checkout, None, None, dry_run=True)
    assert (texts(checkout), git(checkout, "rev-parse", "HEAD")) == (before, head)
    assert any("would write infra/settings.py" in line for line in lines_of(planned, dry_run=True))
    done = upgrade(checkout, None, None)
    assert (planned.written, planned.removed, planned.kept) == (done.written, done.removed, done.kept)


def test_a_project_made_of_the_template_keeps_its_name(project: Path, tmp_path: Path):
    """`pulumi new` copies the files, without history, and writes name and description."""
    folder = tmp_path / "copy"
    folder.mkdir()
    own = FIRST["Pulumi.yaml"].replace("hf-lambda", "shop").replace("of the project", "of the shop")
    write(folder, {**FIRST, "Pulumi.yaml": own, "inference/mine.py": "mine\n"})
    with pytest.raises(UpgradeError, match="git init && git add -A"):
        upgrade(folder, None, None)
    git(folder, "init", "-q")
    with pytest.raises(UpgradeError, match="no commit yet"):
        upgrade(folder, None, None)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    with pytest.raises(UpgradeError, match="git remote add upstream"):
        upgrade(folder, None, None)
    git(folder, "remote", "add", "upstream", str(project))
    upgrade(folder, "0.2.0", None)
    assert (folder / "Pulumi.yaml").read_text() == "name: shop\ndescription: of the shop\nconfig: 2\n"
    assert (folder / "inference/mine.py").read_text() == "mine\n"
    assert upgrade(folder, None, None).before == "v0.2.0"


def test_a_copy_whose_files_are_of_no_release_is_refused(project: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    folder.mkdir()
    write(folder, {**FIRST, "infra/settings.py": "mine\n"})
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    git(folder, "remote", "add", "upstream", str(project))
    with pytest.raises(UpgradeError, match=r"not those of any release \(v0.1.0, v0.2.0, v0.10.0\)"):
        upgrade(folder, None, None)


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "release", "remote", "message"),
    [
        (lambda folder: None, "9.9.9", None, "no release 9.9.9; there are v0.1.0, v0.2.0, v0.10.0"),
        (lambda folder: None, None, "nobody", "cannot fetch from nobody"),
        (lambda folder: git(folder, "remote", "set-url", "origin", "/nowhere"), None, None, "cannot fetch"),
        (lambda folder: (folder / ".git/MERGE_HEAD").write_text("x"), None, None, "middle of a merge"),
    ],
    ids=["no such release", "no such remote", "remote is gone", "in a merge"],
)
def test_what_cannot_be_is_refused_with_what_to_do(
    checkout: Path, change: Change, release: str | None, remote: str | None, message: str
):
    change(checkout)
    before = texts(checkout)
    with pytest.raises(UpgradeError, match=message):
        upgrade(checkout, release, remote)
    assert texts(checkout) == before


def test_a_remote_without_releases_is_not_the_project_s(tmp_path: Path):
    for name in ("project", "checkout"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q")
        git(tmp_path / name, "commit", "-q", "--allow-empty", "-m", "start")
    git(tmp_path / "checkout", "remote", "add", "origin", str(tmp_path / "project"))
    with pytest.raises(UpgradeError, match="origin has no release"):
        upgrade(tmp_path / "checkout", None, None)


@pytest.mark.parametrize(
    ("path", "users"),
    [
        ("inference/sentiment.py", True),
        ("inference/models/mine/config.json", True),
        ("inference/requirements.txt", True),
        ("inference/requirements-full.txt", False),
        ("inference/Dockerfile", False),
        ("inference/Dockerfile.py", True),
        ("Pulumi.dev.yaml", True),
        ("Pulumi.yaml", False),
        ("infra/Pulumi.dev.yaml", False),
        ("README.md", False),
    ],
)
def test_scripts_and_stack_files_are_the_user_s(path: str, users: bool):
    assert is_users(path) is users


def test_of_what_the_project_has_among_the_scripts_only_scripts_are_the_user_s():
    tracked = git(ROOT, "ls-files", "inference").split()
    assert "inference/Dockerfile" in tracked
    assert [path for path in tracked if is_users(path)] == [each for each in tracked if each.endswith(".py")]
