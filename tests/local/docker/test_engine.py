"""Finding a container engine: which client is taken, and what is said where there is none."""

from pathlib import Path

import pytest

from local.docker.engine import EngineError, find_engine

ANSWERS = 'if [ "$1" = version ]; then echo "{version} 20.10.24"; exit 0; fi\n'
REFUSES = 'echo "Cannot connect to the engine" >&2\nexit 1\n'
WITHOUT_BUILDX = 'if [ "$1" = buildx ]; then exit 1; fi\n'


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Folders searched for clients: `path(NAME, SCRIPT)` adds one that holds such a `docker`."""
    folders: list[Path] = []
    monkeypatch.setattr("local.docker.engine._SEARCHED_TOO", ())
    monkeypatch.setattr("local.docker.engine.os.get_exec_path", lambda: [str(folder) for folder in folders])

    def add(name, script):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "docker").write_text(f"#!/bin/sh\n{script}")
        (folder / "docker").chmod(0o755)
        folders.append(folder)
        return str(folder / "docker")

    return add


def test_a_client_with_its_own_builder_is_taken(path):
    client = path("old", ANSWERS.format(version="20.10.24"))
    assert find_engine().client == client


def test_a_newer_client_needs_the_buildx_plugin(path):
    path("new", WITHOUT_BUILDX + ANSWERS.format(version="28.2.2"))
    with pytest.raises(EngineError, match="has no buildx plugin"):
        find_engine()
    client = path("complete", ANSWERS.format(version="28.2.2") + "exit 0\n")
    assert find_engine().client == client


def test_a_client_that_reaches_no_engine_is_passed_over(path):
    path("alone", REFUSES)
    client = path("old", ANSWERS.format(version="20.10.24"))
    assert find_engine().client == client


def test_without_a_client_the_message_says_how_to_get_an_engine(path):
    with pytest.raises(
        EngineError, match=r"there is no `docker` here; install Docker, or .*\.ci/engine start"
    ):
        find_engine()


def test_without_an_engine_the_message_quotes_the_client(path):
    path("alone", REFUSES)
    with pytest.raises(EngineError, match=r"Cannot connect to the engine.*\.ci/engine start"):
        find_engine()


def test_a_refused_command_ends_in_the_engine_s_own_words(path):
    path("old", ANSWERS.format(version="20.10.24") + 'echo "no such image" >&2\nexit 1\n')
    with pytest.raises(EngineError, match="docker image inspect: no such image"):
        find_engine().run("image", "inspect", "x")
    assert not find_engine().has("x")
