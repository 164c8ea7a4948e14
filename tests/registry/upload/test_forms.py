"""Registries that refuse PATCH, whole blobs or long bodies: another form is tried, and remembered."""

import tracemalloc

import pytest

from faulty.faults import PatchLimit, Refuse
from faulty.proxy import FaultyProxy
from faulty.when import When
from ocipkg_async.content import BytesSource, ProducerSource, StreamSource
from ocipkg_async.errors import RegistryError, UnsupportedError
from ocipkg_async.registry import RegistryMemory, Repository, TransferOptions
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Reference
from ocipkg_async.transport import Transport
from registry.driving import blob, opened, push_blob, read, watched
from registry.upload.samples import BLOB, Unsized
from transport.servers import quick

MIB = 1 << 20
WHOLE = When(method="PUT", path="/uploads/")
PATCH = When(method="PATCH", path="/uploads/", times=None)


def sent(proxy: FaultyProxy) -> list[tuple[str, int]]:
    """The requests that brought a body or opened an upload, and their bytes."""
    return [
        (one.method, one.received)
        for one in proxy.exchanges
        if one.method in {"POST", "PATCH", "PUT"}
    ]


@pytest.mark.parametrize("status", [405, 415, 501])
async def test_a_registry_that_takes_no_whole_blobs_gets_chunks(
    embedded: EmbeddedRegistry, status: int
) -> None:
    async with (
        FaultyProxy(embedded.host, Refuse(status=status, read_body=True, when=WHOLE)) as proxy,
        opened(proxy.host) as repository,
    ):
        descriptor, data = await push_blob(repository, 1000)
        assert await read(repository, descriptor) == data
        assert sent(proxy)[-3:] == [("POST", 0), ("PATCH", 1000), ("PUT", 0)]
        proxy.clear()
        await push_blob(repository, 999)
        assert sent(proxy) == [("POST", 0), ("PATCH", 999), ("PUT", 0)]


async def test_a_whole_blob_that_is_too_large_goes_in_chunks(embedded: EmbeddedRegistry) -> None:
    async with (
        FaultyProxy(embedded.host, Refuse(status=413, read_body=True, when=WHOLE)) as proxy,
        opened(proxy.host) as repository,
    ):
        descriptor, data = await push_blob(repository, 9 * MIB)
        assert await read(repository, descriptor) == data
    assert sent(proxy)[-4:] == [("PATCH", 4 * MIB), ("PATCH", 4 * MIB), ("PATCH", MIB), ("PUT", 0)]


async def test_ghcr_long_chunks_become_short_ones(embedded: EmbeddedRegistry) -> None:
    async with (
        FaultyProxy(embedded.host, PatchLimit(max_bytes=4 * MIB)) as proxy,
        opened(proxy.host, chunk_bytes=16 * MIB) as repository,
    ):
        descriptor, data = await push_blob(repository, 20 * MIB)
        assert await read(repository, descriptor) == data
        taken = [one.received for one in proxy.exchanges if one.status == 202 and one.received]
        assert taken == [4 * MIB] * 4
        proxy.clear()
        await push_blob(repository, 20 * MIB, 1)
        assert "patchlimit" not in proxy.hits


async def test_where_no_chunk_is_short_enough_the_blob_goes_whole(
    embedded: EmbeddedRegistry,
) -> None:
    async with (
        FaultyProxy(embedded.host, PatchLimit(max_bytes=1000)) as proxy,
        opened(proxy.host, chunk_bytes=2000) as repository,
    ):
        descriptor, data = await push_blob(repository, 5000)
        assert await read(repository, descriptor) == data
    assert sent(proxy)[-1] == ("PUT", 5000)


async def test_a_registry_without_patch_gets_whole_blobs_whatever_was_asked_for() -> None:
    async with (
        watched(no_patch=True) as server,
        opened(server.host, chunk_bytes=1000) as repository,
    ):
        for seed in (1, 2):
            descriptor, data = await push_blob(repository, 3500, seed)
            assert await read(repository, descriptor) == data
        assert server.count("PATCH") == 1
        assert server.open_uploads() == 0


async def test_what_refuses_everything_is_not_asked_for_ever(embedded: EmbeddedRegistry) -> None:
    refuse = [
        Refuse(status=405, read_body=True, when=When(method=method, path="/uploads/", times=None))
        for method in ("PUT", "PATCH")
    ]
    async with FaultyProxy(embedded.host, *refuse) as proxy, opened(proxy.host) as repository:
        with pytest.raises(RegistryError) as caught:
            await push_blob(repository)
    assert (caught.value.status, caught.value.method) == (405, "PUT")
    assert [method for method, _ in sent(proxy)] == ["POST", "PUT", "POST", "PATCH"]


async def test_all_repositories_of_a_client_know_what_one_learnt() -> None:
    memory = RegistryMemory()
    options = TransferOptions(chunk_bytes=1000)
    async with watched(no_patch=True) as server, Transport(quick()) as transport:
        for name in ("a", "b"):
            reference = Reference(registry=server.host, repository=name)
            repository = Repository(transport, reference, options=options, memory=memory)
            await push_blob(repository, 3500, ord(name))
        assert server.count("PATCH") == 1


async def test_a_stream_gets_a_length_where_one_is_required(embedded: EmbeddedRegistry) -> None:
    refuse = Refuse(status=411, read_body=True, when=When(method="PATCH", path="/uploads/"))
    descriptor, data = blob(17 * MIB)
    async with FaultyProxy(embedded.host, refuse) as proxy, opened(proxy.host) as repository:
        assert await repository.push_stream(BLOB, Unsized(data)) == descriptor
        assert await read(repository, descriptor) == data
        assert sent(proxy)[-2:] == [("PATCH", 16 * MIB), ("PUT", MIB)]
        for seed in (1, 2):
            await repository.push_stream(BLOB, Unsized(blob(300_000, seed)[1]))
    assert sent(proxy)[-4:] == [("POST", 0), ("PUT", 300_000)] * 2


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("chunk_bytes", [None, 1000])
async def test_a_gateway_that_lets_no_patch_through(
    embedded: EmbeddedRegistry, status: int, chunk_bytes: int | None
) -> None:
    refuse = Refuse(status=status, read_body=True, when=PATCH)
    async with (
        FaultyProxy(embedded.host, refuse) as proxy,
        opened(proxy.host, chunk_bytes=chunk_bytes) as repository,
    ):
        descriptor, data = blob(3500)
        assert await repository.push_stream(BLOB, Unsized(data)) == descriptor
        assert await read(repository, descriptor) == data
        descriptor, data = await push_blob(repository, 4500)
        assert await read(repository, descriptor) == data
    assert proxy.hits == {f"refuse {status}": 1}


@pytest.mark.parametrize("size", [0, 1, 300_000])
async def test_streams_go_whole_where_there_is_no_patch(size: int) -> None:
    descriptor, data = blob(size)

    def write_all(write: object) -> None:
        assert callable(write)
        write(data)

    async with watched(no_patch=True) as server, opened(server.host) as repository:
        for source in (BytesSource(data), ProducerSource(write_all), Unsized(data)):
            assert await repository.push_stream(BLOB, source) == descriptor
            assert await read(repository, descriptor) == data
            await repository.delete(descriptor)
        assert server.count("PATCH") == (1 if size else server.count("PATCH"))
        assert server.open_uploads() == 0


async def test_a_stream_that_was_read_before_that_was_known_is_lost_once() -> None:
    descriptor, data = blob(300_000)
    async with watched(no_patch=True) as server, opened(server.host) as repository:
        pieces = iter([data, b""])
        with pytest.raises(UnsupportedError, match="whole blobs") as caught:
            await repository.push_stream(BLOB, StreamSource(lambda _: next(pieces)))
        assert caught.value.hint
        pieces = iter([data, b""])
        again = StreamSource(lambda _: next(pieces))
        assert await repository.push_stream(BLOB, again) == descriptor
        assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


async def test_a_stream_that_is_too_long_for_one_patch_goes_in_chunks(
    embedded: EmbeddedRegistry,
) -> None:
    refuse = Refuse(status=413, read_body=True, when=When(method="PATCH", path="/uploads/"))
    descriptor, data = blob(9 * MIB)
    async with FaultyProxy(embedded.host, refuse) as proxy, opened(proxy.host) as repository:
        assert await repository.push_stream(BLOB, Unsized(data)) == descriptor
        assert await read(repository, descriptor) == data
    assert sent(proxy)[-3:] == [("PATCH", 4 * MIB), ("PATCH", 4 * MIB), ("PUT", MIB)]


async def test_a_chunk_is_not_held_in_memory(embedded: EmbeddedRegistry) -> None:
    descriptor, data = blob(64 * MIB)
    async with opened(embedded.host, chunk_bytes=48 * MIB) as repository:
        tracemalloc.start()
        try:
            await repository.push(descriptor, BytesSource(data))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * MIB
