"""Servers for tests leave nothing open, whenever a connection arrives."""

import asyncio
import gc
import socket
import warnings
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web

from accepting import serving, streaming


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(3600)


async def _nothing(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


def _server(kind: str) -> AbstractAsyncContextManager[int]:
    if kind == "streaming":
        return streaming(_hang)
    return serving(web.ServerRunner(web.Server(_nothing)))


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("kind", ["streaming", "serving"])
def test_a_connection_that_arrives_as_the_server_ends_is_closed(kind: str, turns: int) -> None:
    async def scene() -> None:
        async with _server(kind) as port:
            with socket.create_connection(("127.0.0.1", port)):
                for _ in range(turns):
                    await asyncio.sleep(0)

    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(scene())
        gc.collect()
    assert not [str(one.message) for one in caught]


async def test_what_is_still_to_be_sent_does_not_keep_a_connection_open() -> None:
    async def much(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(bytes(64 << 20))

    writers: list[asyncio.StreamWriter] = []
    with socket.socket() as client:
        async with streaming(much) as port:
            client.connect(("127.0.0.1", port))
            while not writers:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
        assert writers[0].get_extra_info("socket").fileno() == -1
