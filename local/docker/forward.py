"""`python -m local.docker.forward 8080 8081`: the main process of the local stack's container, until SIGTERM.

The stack's servers listen on loopback, as they do outside; what an engine publishes comes to the container's
own address. Connections to these ports of that address go on to the same ports of loopback.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
EMULATOR = Path("/opt/hf-lambda/.local/bin")
"""Where the image has it."""
_CHUNK = 65_536


async def forward(ports: Sequence[int], *, address: str, to: str = LOOPBACK) -> list[asyncio.Server]:
    """Listen on `ports` of `address`; each connection goes on to the same port of `to`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                far_reader, far_writer = await asyncio.open_connection(
                    to, writer.get_extra_info("sockname")[1]
                )
            except OSError:  # nothing is up there now
                return
            with contextlib.closing(far_writer):
                try:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(_copy(reader, far_writer))
                        both.create_task(_copy(far_reader, writer))
                except* OSError:  # one went away: the other is closed
                    pass

    return [await asyncio.start_server(connected, address, port) for port in ports]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end, which is passed on: the other direction may go on."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _serve(ports: Sequence[int]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGCHLD, _reap)
    await forward(ports, address=socket.gethostbyname(socket.gethostname()))
    await ended.wait()


def _reap() -> None:
    """Processes whose parent ended first are the main process's to wait for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _lay_emulator(built: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in built.iterdir():
        if not (folder / path.name).exists() or (folder / path.name).read_bytes() != path.read_bytes():
            partial = Path(shutil.copy2(path, folder / f"{path.name}.partial"))
            partial.replace(folder / path.name)


def main(arguments: list[str]) -> int:
    _lay_emulator(EMULATOR, Path(".local/bin"))
    asyncio.run(_serve([int(each) for each in arguments]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
