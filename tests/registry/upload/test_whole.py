"""Blobs in one request: of all kinds of sources, to all forms of locations, once for many."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from ocipkg_async.content import (
    BytesSource,
    FileSource,
    ProducerSource,
    Source,
)
from ocipkg_async.errors import (
    TooShortError,
)
from ocipkg_async.registry import Repository
from ocipkg_async.spec import Descriptor, Digest
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, scripted, watched
from registry.upload.samples import BLOB, OPENED, STORED, Unsized
from transport.servers import serve


@pytest.mark.parametrize("size", [0, 1, 300_000])
async def test_d54_a_blob_is_pushed_in_one_put(size: int) -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, data = await push_blob(repository, size)
        assert [one.method for one in server.log] == ["POST", "PUT"]
        assert server.log[-1].headers["Content-Type"] == BLOB
        assert "Content-Range" not in server.log[-1].headers
        assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


async def test_a_file_and_a_producer_are_pushed(
    registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    descriptor, data = blob(2_500_000)
    (tmp_path / "file").write_bytes(data)
    sources: list[Source] = [
        await FileSource.of(tmp_path / "file"),
        ProducerSource(lambda write: _write_pieces(write, data)),
    ]
    for number, source in enumerate(sources):
        async with opened(registry.host, f"{repository_name}/{number}") as repository:
            await repository.push(descriptor, source)
            assert await read(repository, descriptor) == data


def _write_pieces(write: Callable[[bytes], None], data: bytes) -> None:
    for start in range(0, len(data), 70_000):
        write(data[start : start + 70_000])


async def test_d66_a_blob_with_a_sha512_digest(
    registry: RunningRegistry, repository_name: str
) -> None:
    data = b"content"
    digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
    descriptor = Descriptor(media_type=BLOB, digest=digest, size=len(data))
    async with opened(registry.host, repository_name) as repository:
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data


async def test_d66_the_algorithm_is_named_when_the_upload_is_opened() -> None:
    digest = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    descriptor = Descriptor(media_type=BLOB, digest=digest, size=1)
    async with (
        serve(scripted(POST=OPENED, PUT=STORED)) as server,
        opened(server.host) as repository,
    ):
        await repository.push(descriptor, BytesSource(b"x"))
    assert server.seen[0].path.endswith("/blobs/uploads/?digest-algorithm=sha512")


@pytest.mark.parametrize("location", ["path", "absolute", "relative", "query", "state"])
@pytest.mark.parametrize("chunk_bytes", [None, 1000])
async def test_d50_every_form_of_location_is_followed(
    location: str, chunk_bytes: int | None
) -> None:
    async with watched(location=location) as server:
        async with opened(server.host, chunk_bytes=chunk_bytes) as repository:
            descriptor, data = await push_blob(repository, 3500)
            streamed = await repository.push_stream(BLOB, Unsized(data))
            assert streamed == descriptor
            assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


async def test_d67_a_blob_that_many_push_at_once_is_sent_once() -> None:
    async with watched() as server, opened(server.host) as repository:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(push_blob, repository)
        assert server.count("PUT") == 1
        assert server.open_uploads() == 0


async def test_d67_if_the_first_fails_the_next_sends() -> None:
    """And one that is cancelled while it waits stops nobody."""
    descriptor, data = blob(1000)
    async with watched() as server, opened(server.host) as repository:
        async with anyio.create_task_group() as group:
            group.start_soon(_fails, repository, descriptor)
            await checkpoint()
            waiting = asyncio.create_task(repository.push(descriptor, BytesSource(data)))
            await checkpoint()
            waiting.cancel()
            group.start_soon(repository.push, descriptor, BytesSource(data))
        assert waiting.cancelled()
        assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


async def _fails(repository: Repository, descriptor: Descriptor) -> None:
    with pytest.raises(TooShortError):
        await repository.push(descriptor, BytesSource(b""))
