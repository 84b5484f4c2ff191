"""`make upgrade`: brings a release of the project into a checkout; scripts and stack files are the user's.

The checkout is compared with the last commit of the project in its history. Files of the project that differ
from it have been changed by somebody, and nothing is written then. Otherwise the release's are written and
recorded as a merge, so that the next upgrade starts from there. One that was killed is finished by the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from warmup.protocol.records import Record

REMOTES = ("upstream", "origin")
"""Where releases come from, the first that there is."""
RELEASES = "refs/hf-lambda/releases"
"""Where they are kept: what the user tags stays as it is, and is no release of the project."""
MANIFEST = "Pulumi.yaml"
_OWN_LINES = re.compile(r"^(?:name|description):.*$", re.MULTILINE)
"""What `pulumi new` writes into Pulumi.yaml."""
_OF_IMAGES = re.compile(r"(?:\w+\.)?Dockerfile(?:\.dockerignore)?|requirements-\w+\.txt")
"""What of the project lies among the scripts, besides its own."""
_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_HEADING = re.compile(r"^## \[(\d+)\.(\d+)\.(\d+)\]")


class UpgradeError(Exception):
    """The checkout stays as it is; the text says why and what to do."""


@dataclass(frozen=True)
class Upgrade(Record):
    """What an upgrade did, or would do."""

    release: str
    before: str
    """The commit of the project that the checkout had."""
    is_new: bool
    """False where the checkout has the release already."""
    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Scripts and stack files that the release has changed, and that stay as they are."""
    to_do: str = ""
    """What CHANGELOG.md says that a stack must do."""
    changes: str = ""
    """The rest of what it says of the versions since."""
    commit: str | None = None
    """What the upgrade is recorded as; None where nothing was written."""


def upgrade(root: Path, release: str | None, remote: str | None, dry_run: bool = False) -> Upgrade:
    """Brings `release` (a tag; None: the newest) of `remote` into `root`. Raises UpgradeError."""
    git = _Git(root)
    git.check_usable()
    name = git.fetch(remote)
    tag = git.choose(release, name)
    head, new = git.head(), git.commit(tag)
    base = git.base_of(head, new)
    if base == new:
        return Upgrade(tag, git.describe(base), is_new=False)
    before, after = git.files(base), git.files(new)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    ours = {path for path in before.keys() | after.keys() if not is_users(path)}
    _refuse_changes(git, base, new, tag, before, after, ours)
    log, since = git.text(new, "CHANGELOG.md"), git.text(base, "CHANGELOG.md")
    to_do, changes = changelog_since(log, since)
    found = Upgrade(
        tag,
        git.describe(base),
        is_new=True,
        written=tuple(sorted(path for path in changed & ours if path in after)),
        removed=tuple(sorted(path for path in changed & ours if path not in after)),
        kept=tuple(sorted(changed - ours)),
        to_do=to_do,
        changes=changes,
    )
    return found if dry_run else _apply(git, found, head, new)


def is_users(path: str) -> bool:
    """Whether a file belongs to whoever uses the project: scripts, what lies beside them, and stack files."""
    parts = PurePosixPath(path)
    if parts.parts[0] == "inference":
        return not _OF_IMAGES.fullmatch(parts.name)
    return re.fullmatch(r"Pulumi\..+\.ya?ml", path) is not None


def changelog_since(log: str, before: str) -> tuple[str, str]:
    """(what stacks must do, the rest) of the versions in `log` that are not in `before`, or grew since.

    What a stack must do stands under `### Upgrade` of its version.
    """
    known = _sections(before)
    to_do, rest = [], []
    for title, body in _sections(log).items():
        if known.get(title) == body:
            continue
        parts = re.split(r"(?m)^(?=### )", body)
        earlier = set(known.get(title, "").splitlines())
        for part in parts:
            heading = part.partition("\n")[0].strip()
            lines = [line for line in part.splitlines()[1:] if line.strip() and line not in earlier]
            if lines and heading == "### Upgrade":
                to_do += [title, *lines]
            elif lines:
                rest += [f"{title} {heading.removeprefix('### ')}".rstrip(), *lines]
    return "\n".join(to_do), "\n".join(rest)


def lines_of(found: Upgrade, dry_run: bool) -> Iterable[str]:
    """The report for people."""
    if not found.is_new:
        yield f"{found.release} is what this checkout has: nothing to do"
        return
    yield f"{found.before} -> {found.release}{' (nothing was written)' if dry_run else ''}"
    yield from (f"  {'would write' if dry_run else 'wrote'} {path}" for path in found.written)
    yield from (f"  {'would remove' if dry_run else 'removed'} {path}" for path in found.removed)
    yield from (
        f"  kept {path}: yours; the release's is `git show {RELEASES}/{found.release}:{path}`"
        for path in found.kept
    )
    if found.changes:
        yield from ("", "what is new:", found.changes)
    yield from ("", "what your stacks must do:", found.to_do or "nothing that CHANGELOG.md knows of")
    if found.commit:
        yield from ("", "back: git reset --keep HEAD~1")


class _Git:
    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        done = self._run(arguments, environ)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise UpgradeError(f"`git {' '.join(arguments[:3])}` failed: {said}")
        return done.stdout

    def _run(
        self, arguments: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = ["git", "-c", "core.quotePath=false", *arguments]
        try:
            return subprocess.run(
                command,
                cwd=self.root,
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(environ or {})},
                capture_output=True,
                text=True,
                errors="surrogateescape",
                check=False,
            )
        except FileNotFoundError:
            raise UpgradeError("git is not on the PATH; install it, then run `make upgrade` again") from None

    def check_usable(self) -> None:
        done = self._run(["rev-parse", "--show-toplevel"])
        if done.returncode or Path(done.stdout.strip()).resolve() != self.root.resolve():
            raise UpgradeError(
                f"{self.root} is no repository of git, so what you changed cannot be told from what the "
                "project is. Make it one: git init && git add -A && git commit -m start && "
                "git remote add upstream <URL of the project>, then run `make upgrade` again"
            )
        if self._run(["rev-parse", "-q", "--verify", "HEAD"]).returncode:
            raise UpgradeError("there is no commit yet: git add -A && git commit -m start, then again")
        for name in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"):
            if (self.root / self.run("rev-parse", "--git-path", name).strip()).exists():
                raise UpgradeError("git is in the middle of a merge or rebase; finish it or abort it first")

    def fetch(self, remote: str | None) -> str:
        known = self.run("remote").split()
        name = remote or next((each for each in REMOTES if each in known), None)
        if name is None:
            raise UpgradeError("no remote to fetch from: git remote add upstream <URL of the project>")
        done = self._run(["fetch", "-q", "--no-tags", "--prune", name, f"+refs/tags/v*:{RELEASES}/v*"])
        if done.returncode:
            said = (done.stderr.strip() or "nothing").splitlines()[-1]
            raise UpgradeError(f"cannot fetch from {name} ({said}); is it the project's? `git remote -v`")
        return name

    def choose(self, release: str | None, remote: str) -> str:
        """The tag of `release`, with or without its v; else the newest."""
        tags = self.releases()
        if not tags:
            raise UpgradeError(f"{remote} has no release (a tag such as v1.2.3); is it the project's?")
        if release is None:
            return tags[-1]
        wanted = f"v{release.removeprefix('v')}"
        if wanted not in tags:
            raise UpgradeError(f"there is no release {release}; there are {', '.join(tags)}")
        return wanted

    def releases(self) -> list[str]:
        """Their tags, the newest last."""
        return self._named("for-each-ref", "--format=%(refname)", RELEASES)

    def _named(self, *listing: str) -> list[str]:
        names = (ref.removeprefix(f"{RELEASES}/") for ref in self.run(*listing).split())
        return sorted(filter(_RELEASE.fullmatch, names), key=_version)

    def commit(self, release: str) -> str:
        return self.run("rev-parse", "--verify", f"{RELEASES}/{release}^{{commit}}").strip()

    def head(self) -> str:
        return self.run("rev-parse", "--verify", "HEAD").strip()

    def describe(self, commit: str) -> str:
        """The release that `commit` is, or follows."""
        names = self._named("for-each-ref", f"--merged={commit}", "--format=%(refname)", RELEASES)
        if names and self.commit(names[-1]) == commit:
            return names[-1]
        return f"{commit[:12]}{f', after {names[-1]}' if names else ''}"

    def base_of(self, head: str, new: str) -> str:
        """The last commit of the project in the history of `head`.

        Copies have none (`pulumi new`): the newest release whose files are all there as they are then.
        """
        done = self._run(["merge-base", head, new])
        if done.returncode == 0:
            return done.stdout.strip()
        here = self.files(head)
        for tag in reversed(self.releases()):
            files = self.files(self.commit(tag))
            copied = {path for path in files if not is_users(path) and path != MANIFEST}
            if all(here.get(path) == files[path] for path in copied):
                return self.commit(tag)
        raise UpgradeError(
            "this checkout has no history in common with the project, and its files are not those of any "
            f"release ({', '.join(self.releases())}): some were changed. Put your scripts and stack files "
            "into a clone of the project"
        )

    def files(self, commit: str) -> dict[str, str]:
        """Path -> mode and id of its content."""
        found = {}
        for entry in self.run("ls-tree", "-r", "-z", commit).split("\0"):
            if entry:
                about, _, path = entry.partition("\t")
                found[path] = about
        return found

    def text(self, commit: str, path: str) -> str:
        done = self._run(["show", f"{commit}:{path}"])
        return done.stdout if done.returncode == 0 else ""

    def differing(self, commit: str, added: Iterable[str]) -> set[str]:
        """What in the work tree is not as in `commit`, and of `added` what is there, tracked or not."""
        found = self.run("diff", "--name-only", "--no-renames", "-z", commit, "--").split("\0")
        return {path for path in found if path} | {
            path for path in added if os.path.lexists(self.root / path)
        }

    def here(self, path: str) -> str | None:
        """Mode and id of a file in the work tree; None where there is none."""
        file = self.root / path
        if file.is_symlink():
            content = self._hashed(str(file.readlink()))
            return f"120000 blob {content}"
        if not file.is_file():
            return None
        mode = "100755" if os.access(file, os.X_OK) else "100644"
        return f"{mode} blob {self.run('hash-object', '--', path).strip()}"

    def _hashed(self, text: str) -> str:
        command = ["git", "hash-object", "--stdin"]
        done = subprocess.run(command, cwd=self.root, input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip()


def _refuse_changes(
    git: _Git,
    base: str,
    new: str,
    tag: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    ours: set[str],
) -> None:
    """Raises UpgradeError where a file of the project is neither as it was nor as it will be."""
    touched = []
    for path in sorted(git.differing(base, after.keys() - before.keys()) & ours):
        here = git.here(path)
        if here in (before.get(path), after.get(path)):
            continue
        if path == MANIFEST and _without_own(git.root.joinpath(path)) in (
            _OWN_LINES.sub("", git.text(base, path)),
            _OWN_LINES.sub("", git.text(new, path)),
        ):
            continue
        touched.append(path)
    if touched:
        shown = "".join(f"\n  {path}" for path in touched)
        raise UpgradeError(
            f"files of the project were changed here, and {tag} would write over them:{shown}\n"
            f"Keep your changes: git diff {base[:12]} -- {' '.join(touched)} > mine.patch\n"
            f"take them back:    git checkout {base[:12]} -- {' '.join(p for p in touched if p in before)}\n"
            "run `make upgrade`, then put them on top: git apply -3 mine.patch"
        )


def _without_own(path: Path) -> str:
    return _OWN_LINES.sub("", path.read_text()) if path.is_file() else ""


def _apply(git: _Git, found: Upgrade, head: str, new: str) -> Upgrade:
    """Writes the files, then moves the branch to a merge of `head` and `new`."""
    own = _own_lines(git.root.joinpath(MANIFEST).read_text())
    tree = _tree(git, found, head, new, own)
    message = f"upgrade to {found.release}"
    commit = git.run(*_as_somebody(git), "commit-tree", tree, "-p", head, "-p", new, "-m", message).strip()
    if found.written:
        git.run("checkout", "-q", commit, "--", *found.written)
    if found.removed:
        git.run("rm", "-q", "-f", "--ignore-unmatch", "--", *found.removed)
    git.run("update-ref", "-m", message, "HEAD", commit, head)
    return replace(found, commit=commit)


def _tree(git: _Git, found: Upgrade, head: str, new: str, own: Mapping[str, str]) -> str:
    """The tree of `head` with the project's files of `new`, made beside the user's index."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git.run("read-tree", head, environ=index)
        files = git.files(new)
        for path in found.written:
            mode, _, content = files[path].split()
            if path == MANIFEST:
                content = _with_own(git, new, own)
            git.run("update-index", "--add", "--cacheinfo", f"{mode},{content},{path}", environ=index)
        if found.removed:
            git.run("update-index", "--force-remove", "--", *found.removed, environ=index)
        return git.run("write-tree", environ=index).strip()


def _own_lines(text: str) -> dict[str, str]:
    return {line.partition(":")[0]: line for line in _OWN_LINES.findall(text)}


def _with_own(git: _Git, new: str, own: Mapping[str, str]) -> str:
    """Pulumi.yaml of the release under the name that the project has here."""
    text = _OWN_LINES.sub(lambda line: own.get(line[0].partition(":")[0], line[0]), git.text(new, MANIFEST))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return git.run("hash-object", "-w", "--no-filters", "--", file.name).strip()


def _as_somebody(git: _Git) -> list[str]:
    """A name for the commit where git has none."""
    try:
        git.run("var", "GIT_COMMITTER_IDENT")
    except UpgradeError:
        return ["-c", "user.name=make upgrade", "-c", "user.email=make-upgrade@localhost"]
    return []


def _version(tag: str) -> tuple[int, ...]:
    return tuple(int(part) for part in tag.removeprefix("v").split("."))


def _sections(log: str) -> dict[str, str]:
    """Version, as its heading names it -> its text."""
    found: dict[str, str] = {}
    title = ""
    for line in log.splitlines(keepends=True):
        if match := _HEADING.match(line):
            title = ".".join(match.groups())
            found[title] = ""
        elif title:
            found[title] += line
    return found
