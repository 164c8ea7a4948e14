"""The socket side of the registry: an address, its connections, and how long they may take."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from ..errors import ConnectError

READ_BUFFER_BYTES = 1 << 20
"""How much of a body may wait for the handler; the event loop receives up to 256 KiB at once."""


@asynccontextmanager
async def listening(
    application: web.Application, *, host: str, port: int, shutdown_timeout_s: float
) -> AsyncIterator[int]:
    """Listen on an address; give the port, which is chosen by the system for 0.

    Args:
        application: answers the requests.
        host: the address.
        port: the port; 0 takes a free one.
        shutdown_timeout_s: how long requests in progress may go on at the end.

    Raises:
        ConnectError: the address cannot be listened on.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        # A body with Content-Encoding is content like any other.
        auto_decompress=False,
        read_bufsize=READ_BUFFER_BYTES,
        shutdown_timeout=shutdown_timeout_s,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConnectError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                hint="choose another port, or 0 for any free one",
            ) from error
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()
