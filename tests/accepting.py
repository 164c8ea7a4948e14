"""Accepting connections for a test, so that every one of them ends with it.

asyncio's own servers leave open what arrives in the turns of the loop in which they end, and what
they still have to send.
"""

import asyncio
import contextlib
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from aiohttp import web

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def accepting(
    protocol: Callable[[], asyncio.BaseProtocol],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Make a protocol for each connection until the block ends; give the port."""
    loop = asyncio.get_running_loop()
    welcomes: set[asyncio.Task[None]] = set()
    # Weak: one that has ended is of no interest.
    transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def accept() -> None:
        while True:
            await anyio.wait_readable(listener)
            try:
                accepted, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # whoever came has gone
            task = asyncio.create_task(welcome(accepted))
            welcomes.add(task)
            task.add_done_callback(welcomes.discard)

    async def welcome(accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):  # a handshake that fails: the client has its error
            transport, _ = await loop.connect_accepted_socket(protocol, accepted, ssl=tls)
            transports.add(transport)

    with socket.create_server((host, port), backlog=128) as listener:
        listener.settimeout(0)
        accepts = asyncio.create_task(accept())
        try:
            yield listener.getsockname()[1]
        finally:
            with anyio.CancelScope(shield=True):
                await _cancel(accepts)
                await _cancel(*welcomes)  # all have begun by now
                for transport in list(transports):
                    transport.abort()
                for _ in range(2):  # they are closed in the next turn, and told of it
                    await asyncio.sleep(0)


@asynccontextmanager
async def serving(
    runner: web.BaseRunner, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Run a server of aiohttp until the block ends; give the port."""
    await runner.setup()
    assert runner.server is not None
    async with accepting(runner.server, tls=tls) as port:
        try:
            yield port
        finally:
            await runner.cleanup()


@asynccontextmanager
async def streaming(
    serve: Serve, *, host: str = "127.0.0.1", port: int = 0, limit: int = 1 << 16
) -> AsyncIterator[int]:
    """Run a task for each connection, which ends with it, until the block ends; give the port."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    ended = False

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ended:
            writer.close()
            return
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # it may have ended before it began

    def protocol() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, connected, loop=loop)

    async with accepting(protocol, host=host, port=port) as chosen:
        try:
            yield chosen
        finally:
            ended = True
            with anyio.CancelScope(shield=True):
                await _cancel(*tasks)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
