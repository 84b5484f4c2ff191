"""Which way of keeping functions from writing is chosen."""

import pytest

from local.service import isolation


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "efs").mkdir()
    return tmp_path / "efs", tmp_path / "state"


def test_a_way_that_lets_writes_through_is_not_chosen(folders, monkeypatch):
    monkeypatch.setattr(isolation, "MODES", ("none",))
    assert isolation.available(*folders) == isolation.NONE


def test_a_way_that_fails_to_start_is_not_chosen(folders, monkeypatch):
    monkeypatch.setattr(isolation, "SANDBOX", folders[0] / "missing.py")
    assert isolation.available(*folders) == isolation.NONE


def test_trying_leaves_nothing_behind(folders):
    cache, state = folders
    isolation.available(cache, state)
    assert list(cache.iterdir()) == []
    assert list((state / "tmp").iterdir()) == []


def test_the_first_way_that_works_is_chosen(folders, monkeypatch):
    tried = []

    def works(mode, cache, state):
        tried.append(mode)
        return mode == "landlock"

    monkeypatch.setattr(isolation, "_holds", works)
    assert isolation.available(*folders) == "landlock"
    assert tried == ["namespace", "landlock"]
