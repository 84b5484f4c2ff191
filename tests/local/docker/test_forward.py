"""Connections to the container's own address go on to the same port of loopback."""

from __future__ import annotations

import asyncio
import contextlib

from local.docker.forward import forward

OUTSIDE = "127.0.0.2"
"""Loopback too, and another address than the servers'."""
BOUND_S = 20


async def forwarded(answer, ask):
    """What `ask(open_connection)` returns, of a server at loopback behind a forwarded port of OUTSIDE."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (outside,) = await forward([port], address=OUTSIDE)
    async with server, outside:
        return await asyncio.wait_for(ask(lambda: asyncio.open_connection(OUTSIDE, port)), BOUND_S)


def test_bytes_go_both_ways_and_the_end_of_one_is_not_that_of_the_other():
    async def answer(reader, writer):
        received = await reader.read()  # to the end that the client says
        writer.write(received[::-1])
        writer.close()

    async def ask(connect):
        reader, writer = await connect()
        writer.write(b"abc" * 100_000)
        writer.write_eof()
        received = await reader.read()
        writer.close()
        return received

    assert asyncio.run(forwarded(answer, ask)) == b"cba" * 100_000


def test_where_one_side_goes_away_the_other_is_closed():
    gone = asyncio.Event()

    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
        gone.set()

    async def ask(connect):
        reader, writer = await connect()
        await reader.readexactly(1)
        writer.transport.abort()
        await gone.wait()
        return True

    assert asyncio.run(forwarded(answer, ask))


def test_a_port_at_which_nothing_is_up_closes_the_connection():
    async def ask():
        holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = holder.sockets[0].getsockname()[1]
        holder.close()
        await holder.wait_closed()
        (outside,) = await forward([port], address=OUTSIDE)
        async with outside:
            reader, writer = await asyncio.open_connection(OUTSIDE, port)
            received = await asyncio.wait_for(reader.read(), BOUND_S)
            writer.close()
            return received

    assert asyncio.run(ask()) == b""
