"""Ports that a program is told: it can listen there, and nobody else gets them."""

import contextlib
import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.service.ports import Ports

ROOT = Path(__file__).parents[3]
# In a network of its own with 20 ports to give out: takes all of them, for listening and for connecting.
TAKE_ALL = """
import fcntl, pathlib, socket, struct
from local.service.ports import Ports

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40019")
server = socket.create_server(("127.0.0.1", 50000), backlog=100)
listen = lambda: socket.create_server(("127.0.0.1", 0))
connect = lambda: socket.create_connection(("127.0.0.1", 50000))
with Ports(2) as held:
    for take in (listen, connect):
        taken = []
        try:
            while True:
                taken.append(take())
        except OSError:
            ports = {each.getsockname()[1] for each in taken}
        for each in taken:
            each.close()
        print(len(ports), len(ports & set(held)))
"""


def test_a_server_can_listen_on_a_held_port():
    with (
        Ports(1) as (port,),
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(("127.0.0.1", port), 5) as client,
        server.accept()[0] as accepted,
    ):
        accepted.sendall(b"here")
        assert client.recv(4) == b"here"


def test_a_held_port_refuses_connections_until_somebody_listens():
    with Ports(1) as (port,), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_server_keeps_its_port_when_the_port_is_released():
    with contextlib.ExitStack() as held:
        (port,) = held.enter_context(Ports(1))
        with socket.create_server(("127.0.0.1", port)):
            held.close()
            with pytest.raises(OSError) as refused:
                socket.create_server(("127.0.0.1", port))
            assert refused.value.errno == errno.EADDRINUSE


def test_held_ports_are_all_different():
    with Ports(200) as ports:
        assert len(set(ports)) == 200


def test_where_every_free_port_is_asked_for_the_held_ones_are_not_given_out():
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespaces")
    tried = subprocess.run([*alone, sys.executable, "-c", TAKE_ALL], cwd=ROOT, capture_output=True, text=True)
    assert tried.stdout.splitlines() == ["18 0", "18 0"], tried.stderr
