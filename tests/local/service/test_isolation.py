"""Which way of keeping functions from writing is chosen."""

import json
import socket
import subprocess
import sys

import pytest

from local.service import isolation
from local.service.emulator import SANDBOX


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


REACH = """
import socket, sys
for port in sys.argv[1:]:
    try:
        socket.create_connection(("127.0.0.1", int(port)), 5).close()
        print("reached")
    except PermissionError:
        print("refused")
"""


@pytest.mark.parametrize("mode", isolation.MODES)
def test_what_takes_models_from_a_bucket_connects_to_that_and_to_nothing_else(folders, mode):
    cache, state = folders
    if not isolation.closes_network(mode) or not isolation._holds(mode, cache, state):
        pytest.skip("this kernel has neither the mode nor Landlock's rules for ports")
    with socket.create_server(("127.0.0.1", 0)) as bucket, socket.create_server(("127.0.0.1", 0)) as hub:
        ports = [server.getsockname()[1] for server in (bucket, hub)]
        keep = [str(path) for path in (cache, state, sys.prefix, sys.base_prefix)]
        view = {"cache": str(cache), "mount": None, "tmp": str(state), "writes": True, "keep": keep}

        def reached(connect):
            sandbox = [sys.executable, "-I", "-S", str(SANDBOX), mode]
            command = [*sandbox, json.dumps({**view, "connect": connect}), sys.executable, "-c", REACH]
            return subprocess.check_output([*command, *map(str, ports)], text=True).split()

        assert reached(ports[:1]) == ["reached", "refused"]
        assert reached(None) == ["reached", "reached"]


MOVE = """
import os, pathlib, sys
source = pathlib.Path(sys.argv[1], "work", "prepared")
source.mkdir(parents=True)
os.rename(source, pathlib.Path(sys.argv[1], "prepared"))
"""


@pytest.mark.parametrize("mode", isolation.MODES)
@pytest.mark.parametrize("connect", [None, [], [9]])
def test_what_fills_the_cache_moves_files_in_it_whatever_it_may_connect_to(folders, mode, connect):
    cache, state = folders
    if not isolation._holds(mode, cache, state):
        pytest.skip("this kernel has not the mode")
    keep = [str(path) for path in (cache, state, sys.prefix, sys.base_prefix)]
    mount = "/mnt/hf_models_cache" if mode == "namespace" else None
    seen = mount or str(cache)
    view = {"cache": str(cache), "mount": mount, "tmp": str(state), "writes": True, "keep": keep}
    sandbox = [sys.executable, "-I", "-S", str(SANDBOX), mode, json.dumps({**view, "connect": connect})]
    subprocess.run([*sandbox, sys.executable, "-c", MOVE, seen], check=True, timeout=60)
    assert (cache / "prepared").is_dir()


def test_a_network_that_stays_open_is_not_taken_for_closed():
    assert not isolation.closes_network(isolation.NONE)
