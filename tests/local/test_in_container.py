"""The local stack in a container of its own: when it is, and what a client that only notes it is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from local import in_container
from local.docker import images, package_index
from local.docker.engine import ContainerEngine
from local.in_container import INSIDE, is_wanted
from local.layout import Folder
from local.stack import Choices, StackError

CLIENT = r"""#!/bin/sh
here=${0%/*}
{ printf "%s\n" "$@"; echo; } >>"$here/asked"
if [ -e "$here/refuses" ]; then
  echo "Cannot connect to the Docker daemon. Is the docker daemon running?" >&2
  exit 1
fi
case "$*" in
  version*) echo "20.10.24 20.10.24" ;;
  info*) if [ -e "$here/security" ]; then /bin/cat "$here/security"; else echo "[name=seccomp]"; fi ;;
  "image inspect hf-lambda-local"*) [ ! -e "$here/to-build" ] ;;
  ps*) if [ -e "$here/running" ]; then echo 0123abcd; fi ;;
  "run --detach"*)
    if [ -e "$here/taken" ]; then
      /bin/rm "$here/taken"
      echo "Bind for 127.0.0.1:8080 failed: port is already allocated" >&2
      exit 1
    fi
    : >"$here/running" ;;
  exec*" local up "*)
    if [ ! -e "$here/broken" ]; then : >"$OUTPUTS"; fi
    [ ! -e "$here/fails" ] ;;
  rm*) /bin/rm -f "$here/running" ;;
esac
"""


class Client:
    """A `docker` of the test's: `asked` are its command lines; files beside it say how it answers."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "docker"
        self.path.write_text(CLIENT)
        self.path.chmod(0o755)

    def says(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def asked(self, *first: str) -> list[list[str]]:
        lines = [each.splitlines() for each in (self.folder / "asked").read_text().split("\n\n")]
        return [line for line in lines if line[: len(first)] == [*first]]


@pytest.fixture
def client(tmp_path, monkeypatch):
    (tmp_path / "client").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "client"))
    monkeypatch.setattr("local.docker.engine._SEARCHED_TOO", ())
    monkeypatch.setattr(package_index, "this_machine", dict)
    for name in (INSIDE, "BASE_IMAGE", *in_container._HANDED_IN, *package_index.CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return Client(tmp_path / "client")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    root = tmp_path / 'my, "own" project: 1'
    for name in images.OF_LOCAL_STACK:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    found = Folder(root / ".local", root)
    monkeypatch.setenv("OUTPUTS", str(found.outputs))
    return found


def up(folder, choices=None, command="up"):
    return in_container.run(folder, command, choices or Choices(), lambda line: None)


def published(line: list[str]) -> list[str]:
    return [each.removeprefix("--publish=") for each in line if each.startswith("--publish=")]


@pytest.mark.parametrize("system", ["darwin", "win32", "cygwin", "freebsd14"])
def test_where_the_emulator_does_not_run_the_stack_is_in_a_container(folder, system):
    assert is_wanted(folder, system=system, environ={})
    assert not is_wanted(folder, system=system, environ={INSIDE: "1"})  # it is already


def test_on_linux_it_is_where_that_was_chosen_until_it_is_stopped(folder, client):
    assert not is_wanted(folder, system="linux")
    assert is_wanted(folder, True, system="linux")
    assert up(folder) == 0
    assert is_wanted(folder, system="linux")
    assert in_container.stop(folder)
    assert not is_wanted(folder, system="linux")
    assert not in_container.stop(folder)


def test_what_listens_is_published_on_loopback_alone_at_the_port_that_it_has_inside(folder, client):
    up(folder)
    (started,) = client.asked("run", "--detach")
    (told,) = [line for line in client.asked("exec") if "up" in line]
    ports = dict(each.split("=") for each in told if each.partition("=")[0] in in_container.SERVERS)
    assert set(ports) == {"gateway", "page", "hub", "bucket"} and len(set(ports.values())) == 4
    assert sorted(published(started)) == sorted(f"127.0.0.1:{port}:{port}" for port in ports.values())
    assert started[-len(ports) :] == list(ports.values())  # which it passes on to loopback
    network = started[started.index("--network") + 1]
    assert client.asked("network", "create") == [["network", "create", network]]


def test_the_checkout_is_at_its_own_path_whatever_is_in_that(folder, client):
    up(folder)
    (started,) = client.asked("run", "--detach")
    quoted = str(folder.root).replace('"', '""')
    assert f'--mount=type=bind,"source={quoted}","target={quoted}"' in started
    assert f"--workdir={folder.root}" in started
    assert f"--user={os.getuid()}:{os.getgid()}" in started


def test_an_engine_without_root_gives_files_to_the_user_itself(folder, client):
    client.says("security", "[name=seccomp,profile=default name=rootless]")
    up(folder)
    (started,) = client.asked("run", "--detach")
    assert not [each for each in started if each.startswith("--user")]


def test_folders_of_models_are_mounted_read_only_and_named_by_their_whole_path(
    folder, client, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "one"):
        (tmp_path / name).mkdir()
    (folder.root / "models").mkdir()
    given = ("mine", "org/name=one", str(folder.root / "models"))
    up(folder, Choices(hub="https://hub.example", models=given))
    (started,) = client.asked("run", "--detach")
    (told,) = [line for line in client.asked("exec") if "up" in line]
    outside = [tmp_path / "mine", tmp_path / "one"]
    assert [each for each in started if each.endswith(",readonly")] == [
        f"--mount=type=bind,source={path},target={path},readonly" for path in outside
    ]
    named = [told[i + 1] for i, each in enumerate(told) if each == "--models"]
    assert named == [str(outside[0]), f"org/name={outside[1]}", str(folder.root / "models")]
    assert told[told.index("--hub") + 1] == "https://hub.example"


def test_a_token_is_in_no_command_line_and_not_kept_by_the_engine(folder, client, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.test:3128")
    up(folder)
    assert "secret" not in (client.folder / "asked").read_text()
    (started,) = client.asked("run", "--detach")
    (told,) = [line for line in client.asked("exec") if "up" in line]
    assert "--env=HF_TOKEN" in told and "--env=https_proxy" in told
    assert "--env=HF_TOKEN" not in started


def test_certificates_of_this_machine_go_in_as_a_copy(folder, client, tmp_path, monkeypatch):
    (tmp_path / "ca.pem").write_text("a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    up(folder)
    (started,) = client.asked("run", "--detach")
    copied = folder.path / "ca.pem"
    assert {f"--env={name}={copied}" for name in ("SSL_CERT_FILE", "PIP_CERT")} <= {*started}
    assert copied.read_text() == "a certificate"


def test_the_next_up_keeps_the_addresses_but_those_that_somebody_took(folder, client):
    up(folder)
    up(folder)
    first, second = map(published, client.asked("run", "--detach"))
    assert first == second
    with socket.create_server(("127.0.0.1", int(first[1].split(":")[1]))):
        # The container's own are free by then, as it is gone.
        up(folder)
    third = published(client.asked("run", "--detach")[-1])
    assert third[1] != first[1] and [*third[:1], *third[2:]] == [*first[:1], *first[2:]]


def test_a_port_that_is_taken_meanwhile_is_no_end(folder, client):
    client.says("taken")
    assert up(folder) == 0
    first, second = map(published, client.asked("run", "--detach"))
    assert not {*first} & {*second}


def test_what_does_not_come_up_leaves_no_container_and_what_does_not_warm_does(folder, client):
    client.says("fails")
    assert up(folder) == 1
    assert (client.folder / "running").exists() and folder.container.exists()
    client.says("broken")
    assert up(folder) == 1
    assert not (client.folder / "running").exists() and not folder.container.exists()


def test_dev_ends_with_its_container(folder, client):
    assert up(folder, command="dev") == 0
    assert not (client.folder / "running").exists() and not folder.container.exists()
    (told,) = [line for line in client.asked("exec") if "dev" in line]
    assert told[-8:][::2] == ["--port"] * 4


@pytest.mark.parametrize("name", ["no client", "refuses"])
def test_without_an_engine_it_says_what_to_install_and_down_has_nothing_to_stop(folder, client, name):
    if name == "refuses":
        client.says("refuses")
    else:
        client.path.unlink()
    with pytest.raises(
        StackError, match=r"no container engine: .*runs in a container \(HOST=container\): in"
    ):
        up(folder)
    assert not in_container.stop(folder)
    folder.container.write_text('{"name": "hf-lambda-1", "ports": {}}')  # one that would be forgotten
    with pytest.raises(StackError, match=r"start Docker Desktop .* then run this again"):
        in_container.stop(folder)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices(container=True), r"leave CONTAINER=1 out"),
        (Choices(models=("org/name=nowhere",)), r"MODELS=org/name=.*/nowhere: there is no such folder"),
        (Choices(hub="http://localhost:8080"), r"HUB=http://localhost:8080: .*host\.docker\.internal"),
        (Choices(hub="http://127.0.0.2"), r"address in the network"),
        (Choices(hub="http://[::1]:80"), r"address in the network"),
    ],
)
def test_what_cannot_be_had_in_a_container_is_refused_before_anything_starts(folder, client, choices, said):
    with pytest.raises(StackError, match=said):
        up(folder, choices)
    assert not (client.folder / "asked").exists()


def test_the_image_is_built_once_for_the_same_files_and_anew_for_others(folder, client):
    client.says("to-build")
    said: list[str] = []

    def build() -> str:
        engine = ContainerEngine(str(client.path))
        return images.build_local_stack(engine, said.append, root=folder.root, log=folder.path / "log")

    (folder.root / "inference").mkdir()
    (folder.root / "inference/requirements-torch.txt").touch()
    first = build()
    (built,) = client.asked("build")
    assert first in built and str(folder.root / "local/Dockerfile") in built and len(said) == 1
    (client.folder / "to-build").unlink()
    assert build() == first
    for name in images.OF_LOCAL_STACK:
        (folder.root / name).write_text("another")
        assert build() != first
        (folder.root / name).write_text(name)


def test_whatever_the_image_is_made_of_is_what_it_is_known_by():
    lines = (images.ROOT / "local/Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = {
        word
        for line in lines
        if line.startswith("COPY")
        for word in line.split()[1:-1]
        if not word.startswith("$")
    }
    assert copied - {"local/__init__.py"} == {*images.OF_LOCAL_STACK} - {"local/Dockerfile"}
