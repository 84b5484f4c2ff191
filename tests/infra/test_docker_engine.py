"""The Docker engine is looked up where Pulumi's provider looks, before the provider does."""

import contextlib
import hashlib
import json
import os
import platform
import re
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from infra.docker_engine import (
    Engine,
    EngineMissingError,
    check_engine,
    emulates,
    find_engine,
    main,
    usable_host,
)
from tests.infra.asked import Deployed
from tests.infra.program import Deploy

AMD64 = Engine("unix:///x", "amd64", platform.release())
QEMU = """enabled
interpreter /usr/bin/qemu-aarch64
flags: {flags}
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
"""As the kernel shows what tonistiigi/binfmt registers for arm64."""
Start = Callable[..., str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine, without `docker`, and with no context set."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("infra.docker_engine.DEFAULT", f"unix://{tmp_path}/none.sock")
    return tmp_path


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an engine behind a socket at this path, or any; returns its address."""
    with contextlib.ExitStack() as stack:
        # The path of a socket may have 108 characters, which a folder of a test uses up.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def run(
            path: Path | None = None, architecture: str = "x86_64", kernel: str = "1", **more: object
        ) -> str:
            info = {"Architecture": architecture, "KernelVersion": kernel, **more}
            path = path or folder / "d.sock"
            server = stack.enter_context(_Server(str(path), _handler(info)))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"unix://{path}"

        yield run


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _handler(info: dict[str, object]) -> type[BaseHTTPRequestHandler]:
    class Docker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {"/version": {"ApiVersion": "1.44", "MinAPIVersion": "1.24"}, "/v1.44/info": info}
            body = json.dumps(found.get(self.path, {})).encode()
            self.send_response(200 if self.path in found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, *_: object) -> None:
            pass

    return Docker


def set_context(home: Path, name: str, host: str) -> None:
    """As `docker context create` and `docker context use` write it."""
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    (folder / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}})
    )
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_without_an_engine_the_program_says_so_before_the_provider_does(deploy: Deploy):
    said = deploy("dev", check_engine=check_engine).warnings
    assert len(said) == 1
    assert re.search(
        r"no Docker engine answers at unix://.*none\.sock.*preview, refresh and destroy", said[0]
    )


def test_the_engine_is_found_where_docker_host_says(start: Start):
    host = start(architecture="aarch64", kernel="6.1")
    assert find_engine({"DOCKER_HOST": host}) == Engine(host, "arm64", "6.1")


@pytest.mark.parametrize(
    ("said", "store"),
    [
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "overlay2"),
        (
            {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
            "containerd",
        ),
        ({}, None),
    ],
)
def test_an_engine_says_which_image_store_it_has(start: Start, said: dict[str, object], store: str | None):
    assert find_engine({"DOCKER_HOST": start(**said)}).image_store == store  # type: ignore[union-attr]


def test_what_the_stack_says_comes_before_docker_host(start: Start):
    """Stack config has precedence: setConfiguration in pulumi-docker's provider.go."""
    host = start()
    assert find_engine({"DOCKER_HOST": "unix:///nowhere"}, host).host == host  # type: ignore[union-attr]
    with pytest.raises(EngineMissingError, match="answers at unix:///nowhere"):
        find_engine({"DOCKER_HOST": host}, "unix:///nowhere")


@pytest.mark.parametrize("path", [".docker/run/docker.sock", ".docker/desktop/docker.sock"])
def test_a_user_s_own_docker_desktop_is_found_without_docker_host(
    start: Start, path: str, monkeypatch: pytest.MonkeyPatch
):
    """configureDockerClient in pulumi-docker's image.go tries them after the default socket."""
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setenv("HOME", short)
        (Path(short) / path).parent.mkdir(parents=True)
        host = start(Path(short) / path)
        assert find_engine({}).host == host  # type: ignore[union-attr]


def test_an_engine_behind_ssh_is_left_to_the_provider():
    """It does not look that one up either."""
    assert find_engine({"DOCKER_HOST": "ssh://me@builder"}) is None
    assert usable_host({"DOCKER_HOST": "ssh://me@builder"}) == "ssh://me@builder"


def test_the_engine_of_a_context_is_named_with_the_line_that_sets_it(home: Path, start: Start):
    host = start()
    set_context(home, "colima", host)
    with pytest.raises(EngineMissingError, match=rf"reads no contexts\. Run: export DOCKER_HOST={host}$"):
        find_engine({})


def test_a_context_named_in_the_environment_counts_more_than_the_current_one(home: Path, start: Start):
    host = start()
    set_context(home, "gone", "unix:///gone")
    set_context(home, "other", host)
    set_context_file = home / ".docker" / "config.json"
    set_context_file.write_text(json.dumps({"currentContext": "gone"}))
    with pytest.raises(EngineMissingError, match="no Docker engine answers"):
        find_engine({})
    assert usable_host({"DOCKER_CONTEXT": "other"}) == host


def test_a_context_is_no_way_out_where_docker_host_is_set(home: Path, start: Start):
    """`docker` itself reads no context then."""
    set_context(home, "colima", start())
    with pytest.raises(EngineMissingError, match=r"no Docker engine answers at unix:///wrong\."):
        find_engine({"DOCKER_HOST": "unix:///wrong"})


def test_make_gets_the_engine_of_the_context(home: Path, start: Start, capsys: pytest.CaptureFixture[str]):
    host = start()
    set_context(home, "colima", host)
    assert main() == 0
    assert capsys.readouterr().out == f"{host}\n"


def test_make_gets_the_reason_where_there_is_no_engine(capsys: pytest.CaptureFixture[str]):
    assert main() == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "no Docker engine answers" in captured.err


def registered(folder: Path, **entries: str) -> Path:
    """A /proc/sys/fs/binfmt_misc."""
    folder.mkdir()
    for name, text in {"register": "", "status": "enabled\n", **entries}.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("entries", "does"),
    [
        ({}, False),
        ({"qemu-aarch64": QEMU.format(flags="OCF")}, True),
        ({"other-name": QEMU.format(flags="F")}, True),
        # without F the interpreter is looked for inside the image, which has none
        ({"qemu-aarch64": QEMU.format(flags="OC")}, False),
        ({"qemu-riscv64": QEMU.format(flags="OCF").replace("b700", "f300")}, False),
    ],
    ids=["none", "QEMU", "any name", "not in containers", "another machine"],
)
def test_an_emulator_of_the_kernel_is_found_by_what_it_runs(tmp_path: Path, entries: Any, does: bool):
    assert emulates(AMD64, "arm64", registered(tmp_path / "binfmt", **entries)) is does


def test_what_cannot_be_told_is_not_said(tmp_path: Path):
    binfmt = registered(tmp_path / "binfmt")
    elsewhere = Engine("unix:///x", "amd64", "another kernel")  # a virtual machine, as on macOS
    assert emulates(elsewhere, "arm64", binfmt) is None
    assert emulates(AMD64, "arm64", tmp_path / "not mounted") is None
    assert emulates(AMD64, "amd64", binfmt) is True


@pytest.mark.parametrize(
    ("platforms", "does"), [("linux/amd64*, linux/386", False), ("linux/amd64, linux/arm64*", True)]
)
def test_the_builder_itself_is_believed_where_buildx_can_ask_it(home: Path, platforms: str, does: bool):
    client = home / "docker"
    client.write_text(
        f'#!/bin/sh\n[ "$*" = "buildx inspect default" ] && echo "Name: default\nPlatforms: {platforms}"\n'
    )
    client.chmod(0o755)
    os.environ["PATH"] += ":/bin:/usr/bin"
    assert emulates(Engine("unix:///x", "amd64", "another kernel"), "arm64") is does


def test_an_image_that_the_engine_cannot_build_is_warned_of_and_nothing_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch, deploy: Deploy, tmp_path: Path
):
    """An unchanged image is not built, so the deployment may well succeed."""
    monkeypatch.setattr("infra.docker_engine.emulates", lambda engine, wanted: wanted == "amd64")
    monkeypatch.setenv("DOCKER_HOST", start())
    deployed = deploy("dev", check_engine=check_engine, architecture="arm64")
    assert [each for each in deployed.warnings if "exec format error" in each and "--install arm64" in each]
    assert deployed.all("docker:index/image")
    assert not deploy("dev", check_engine=check_engine).warnings


def test_a_build_that_failed_for_want_of_an_emulator_is_explained(dev: Deployed):
    for target in ("slim", "full"):
        [image] = [each for name, each in dev.all("docker:index/image").items() if name == f"image-{target}"]
        assert ("on_error", f"explain-emulation-{target}") in image.hooks
