"""Loopback ports for programs that have to be told a port, and held so that nobody else is given them."""

import socket
from types import TracebackType


class Ports:
    """`count` free ports of 127.0.0.1, kept from other takers until released.

    Each is bound by a socket that never listens. The kernel gives such a port neither to who asks for any
    port nor to an outgoing connection, yet lets a server that sets SO_REUSEADDR bind and listen on it.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        for _ in range(count):
            holder = socket.socket()
            self._sockets.append(holder)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
        self.numbers: list[int] = [holder.getsockname()[1] for holder in self._sockets]

    def release(self) -> None:
        """Give the ports back; a server that listens by now keeps its own. Safe to repeat."""
        for holder in self._sockets:
            holder.close()

    def __enter__(self) -> list[int]:
        return self.numbers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
