"""How a body gets from the connection to the file."""

import asyncio
import resource
import time
from pathlib import Path

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from ocipkg_async.errors import DiskFullError
from ocipkg_async.server import Limits
from ocipkg_async.server.receiving import GATHER_BYTES, receive
from ocipkg_async.server.sessions import Sessions


async def test_full_disk_is_told_though_the_body_is_ahead(tmp_path: Path) -> None:
    """The disk fills at the end of a gathering, when the next one waits to be handed over."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    body = StreamReader(protocol, 16 * GATHER_BYTES, loop=loop)

    async def feed() -> None:
        for _ in range(64):
            body.feed_data(bytes(GATHER_BYTES // 16))
            await asyncio.sleep(0)
        body.feed_eof()

    session = Sessions(tmp_path, clock=time.monotonic, idle_s=60).open("a", "sha256")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * GATHER_BYTES - 1, hard))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            with pytest.raises(DiskFullError):
                await receive(body, session, length=None, limits=Limits())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
