"""Blobs whose digest is computed while they are sent."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from ocipkg_async.content import (
    BytesSource,
    ByteStream,
    StreamSource,
)
from ocipkg_async.errors import (
    TransportError,
)
from registries import RunningRegistry
from registry.driving import blob, opened, read, watched
from registry.upload.samples import BLOB, Unsized
from transport.servers import serve_raw


@pytest.mark.parametrize("size", [0, 1, 300_000])
@pytest.mark.parametrize("chunk_bytes", [None, 100_000])
async def test_d56_a_stream_gets_its_digest_on_the_way(
    registry: RunningRegistry, repository_name: str, size: int, chunk_bytes: int | None
) -> None:
    descriptor, data = blob(size)
    async with opened(registry.host, repository_name, chunk_bytes=chunk_bytes) as repository:
        for source in (Unsized(data), BytesSource(data), Unsized(data, reopenable=False)):
            assert await repository.push_stream(BLOB, source) == descriptor
        assert await read(repository, descriptor) == data


async def test_a_stream_is_one_patch_without_range_and_an_empty_put() -> None:
    async with watched() as server, opened(server.host) as repository:
        await repository.push_stream(BLOB, Unsized(b"x" * 100_000))
    assert [one.method for one in server.log] == ["POST", "PATCH", "PUT"]
    assert "Content-Range" not in server.log[1].headers
    assert [one.received_bytes for one in server.log] == [0, 100_000, 0]


async def test_a_registry_that_answers_before_the_end_does_not_get_a_part_for_a_whole() -> None:
    """It would keep the first bytes, and their digest is what we would name."""

    class Slow(Unsized):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            self.opened += 1
            yield self

        async def read(self, _max_bytes: int, /) -> bytes:
            if self.opened == self._sent:
                await anyio.sleep_forever()
            self._sent = self.opened
            return b"the first bytes"

        _sent = 0

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            method = head.split()[0]
            if method == b"PATCH":
                await reader.readuntil(b"the first bytes\r\n")
                writer.write(b"HTTP/1.1 202 OK\r\nRange: 0-14\r\nContent-Length: 0\r\n\r\n")
                return
            methods.append(method)
            status = b"202" if method == b"POST" else b"201"
            writer.write(b"HTTP/1.1 %s OK\r\nLocation: /u/1\r\nContent-Length: 0\r\n\r\n" % status)

    methods: list[bytes] = []
    source = Slow(b"")
    async with serve_raw(early) as server, opened(server.host) as repository:
        with pytest.raises(TransportError, match="before it was sent the whole blob"):
            await repository.push_stream(BLOB, source)
    assert source.opened == 3
    assert b"PUT" not in methods


@pytest.mark.parametrize("chunk_bytes", [None, 100])
async def test_a_source_that_can_be_read_once_is_not_sent_twice(chunk_bytes: int | None) -> None:
    data = b"x" * 1000
    async with watched(drop_upload_at=10, times=1) as server:
        async with opened(server.host, chunk_bytes=chunk_bytes) as repository:
            source = StreamSource(_reader(data))
            if chunk_bytes is None:
                with pytest.raises(TransportError):
                    await repository.push_stream(BLOB, source)
                assert server.count("POST") == 1
            else:  # a chunk is in memory and can be sent again
                descriptor = await repository.push_stream(BLOB, source)
                assert await read(repository, descriptor) == data
                assert server.count("POST") == 1
        assert server.open_uploads() == 0


def _reader(data: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(data).read
