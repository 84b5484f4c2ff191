"""Which folders become which repositories."""

from pathlib import Path

import pytest

from local.hub import find_repositories


def _model(folder: Path, commit: str | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(folder.name)
    if commit:
        (folder / ".commit").write_text(commit)
    return folder


def test_a_root_holds_models_with_and_without_an_organisation(tmp_path: Path) -> None:
    _model(tmp_path / "org" / "name")
    _model(tmp_path / "plain")
    assert set(find_repositories(tmp_path)) == {"org/name", "plain"}


def test_later_roots_override_earlier_ones(tmp_path: Path) -> None:
    _model(tmp_path / "shipped" / "org" / "name")
    _model(tmp_path / "shipped" / "org" / "other")
    mine = _model(tmp_path / "mine" / "org" / "name")
    found = find_repositories([tmp_path / "shipped", tmp_path / "mine"])
    assert set(found) == {"org/name", "org/other"}
    assert found["org/name"].folder == mine


def test_a_cache_of_the_client_is_a_root_too(tmp_path: Path) -> None:
    storage = tmp_path / "models--org--name"
    _model(storage / "snapshots" / ("a" * 40))
    _model(storage / "snapshots" / ("b" * 40))
    (storage / "refs").mkdir()
    (storage / "refs" / "main").write_text("a" * 40)
    (storage / "refs" / "pr").mkdir()
    (storage / "refs" / "pr" / "1").write_text("a" * 40)
    (storage / "refs" / "old").write_text("b" * 40)
    repository = find_repositories(tmp_path)["org/name"]
    assert repository.commit_of("main") == repository.commit_of("pr/1") == "a" * 40
    assert repository.commit_of("b" * 40) is repository.commit_of("old") is None


def test_the_commit_of_a_folder_follows_its_content(tmp_path: Path) -> None:
    folder = _model(tmp_path / "org" / "name")
    [repository] = find_repositories(tmp_path).values()
    first = repository.commit_of("main")
    assert first == repository.commit_of("main")
    (folder / "config.json").write_text("changed")
    assert repository.commit_of("main") not in (first, None)


@pytest.mark.parametrize("digits", [7, 8, 39])
def test_the_first_digits_of_a_commit_mean_that_commit(tmp_path: Path, digits: int) -> None:
    pinned = "0123456789" * 4
    _model(tmp_path / "org" / "pinned", commit=pinned)
    _model(tmp_path / "org" / "any")
    found = find_repositories(tmp_path)
    assert found["org/pinned"].commit_of(pinned[:digits]) == pinned
    assert found["org/pinned"].commit_of("f" * digits) is None
    whole = found["org/any"].commit_of("f" * digits)
    assert whole and len(whole) == 40 and whole.startswith("f" * digits)
    assert found["org/any"].commit_of("f" * digits) == whole == found["org/any"].commit_of(whole)


@pytest.mark.parametrize("revision", ["012345", "0123456789" * 4 + "0", "0123456G", "v1", ""])
def test_what_is_no_commit_of_a_repository_is_none(tmp_path: Path, revision: str) -> None:
    _model(tmp_path / "org" / "pinned", commit="0123456789" * 4)
    _model(tmp_path / "org" / "any")
    for repository in find_repositories(tmp_path).values():
        assert repository.commit_of(revision) is None


def test_a_pinned_folder_has_its_commit_alone(tmp_path: Path) -> None:
    _model(tmp_path / "org" / "name", commit="c" * 40)
    repository = find_repositories(tmp_path)["org/name"]
    assert repository.commit_of("main") == repository.commit_of("c" * 40) == "c" * 40
    assert repository.commit_of("d" * 40) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"org/name": Path("absent")}, "org/name: absent is not a directory"),
        (
            Path("absent"),
            "models folder absent is not a directory; expected DIR with DIR/org/name/config.json",
        ),
    ],
)
def test_a_missing_folder_is_named(given: Path | dict[str, Path], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_repositories(given)


def test_a_model_given_as_a_root_is_explained(tmp_path: Path) -> None:
    model = _model(tmp_path / "org" / "name")
    with pytest.raises(
        ValueError, match=rf"is itself a model; give the folder above it, or ORG/NAME={model}"
    ):
        find_repositories(model)


def test_a_malformed_commit_is_named(tmp_path: Path) -> None:
    _model(tmp_path / "org" / "name", commit="main")
    with pytest.raises(ValueError, match="says 'main'; expected a commit of 40 hexadecimal digits"):
        find_repositories(tmp_path)
