"""Blobs that are taken over from another repository."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ocipkg_async.content import BytesSource, MemoryStore
from ocipkg_async.copy import copy_graph
from ocipkg_async.registry import RegistryMemory, Repository
from ocipkg_async.registry.memory import SeenBlobs
from ocipkg_async.spec import Reference
from ocipkg_async.transport import Transport
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, said, scripted, watched
from registry.upload.samples import BLOB, OPENED, STORED
from transport.servers import quick, serve


async def test_d70_a_blob_is_mounted_from_a_repository_beside(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as source:
        descriptor, data = await push_blob(source)
        async with opened(registry.host, repository_name + "/copy") as target:
            assert not await target.exists(descriptor)
            origin = target.can_mount_from(source)
            assert origin == repository_name
            assert await target.mount(descriptor, origin)
            assert await read(target, descriptor) == data


async def test_d72_nothing_is_mounted_from_elsewhere() -> None:
    async with opened("one.example", "a") as one, opened("two.example", "b") as two:
        assert two.can_mount_from(one) is None
        assert one.can_mount_from(one) is None
        assert one.can_mount_from(MemoryStore()) is None
    async with (
        opened("docker.io", "library/a") as one,
        opened("index.docker.io", "library/b") as two,
    ):
        assert two.can_mount_from(one) == "library/a"


async def test_d70_a_session_instead_of_a_mount_is_used_for_the_push(
    registry: RunningRegistry, repository_name: str
) -> None:
    descriptor, data = blob(1000)
    async with opened(registry.host, repository_name) as repository:
        assert not await repository.mount(descriptor, "there/is/nothing")
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data


async def test_d70_that_session_is_the_only_one() -> None:
    descriptor, data = blob(1000)
    async with watched() as server, opened(server.host) as repository:
        assert not await repository.mount(descriptor, "there/is/nothing")
        await repository.push(descriptor, BytesSource(data))
        assert [one.method for one in server.log] == ["POST", "PUT"]
        assert server.open_uploads() == 0


async def test_a_session_from_a_mount_that_expired_is_replaced() -> None:
    steps = scripted(POST=[OPENED, said(202, Location="/v2/u/2")], PUT=[said(404), STORED])
    descriptor, data = blob(1000)
    async with serve(steps) as server, opened(server.host) as repository:
        assert not await repository.mount(descriptor, "other")
        await repository.push(descriptor, BytesSource(data))
    assert server.seen[-1].path.startswith("/v2/u/2")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 202])
async def test_d72_a_refused_mount_is_asked_once_and_pushed(status: int) -> None:
    """202 without a location is a refusal, too."""
    steps = scripted(POST=[said(status), OPENED], PUT=STORED)
    descriptor, data = blob(1000)
    async with serve(steps) as server, opened(server.host) as repository:
        assert not await repository.mount(descriptor, "other/place")
        await repository.push(descriptor, BytesSource(data))
    assert [one.method for one in server.seen] == ["POST", "POST", "PUT"]
    digest = descriptor.digest.replace(":", "%3A")
    assert server.seen[0].path.endswith(f"?mount={digest}&from=other%2Fplace")
    assert server.seen[1].path.endswith("/blobs/uploads/")


async def test_a_copy_beside_moves_no_byte(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as source:
        descriptor, _ = await push_blob(source)
        async with opened(registry.host, repository_name + "/copy") as target:
            report = await copy_graph(source, target, descriptor)
            assert report.bytes_copied == 0
            assert report.skipped == (descriptor,)
            assert await target.exists(descriptor)


# --- from where it was seen ------------------------------------------------------------------------


@asynccontextmanager
async def neighbours(host: str, *names: str) -> AsyncIterator[list[Repository]]:
    """Repositories of one client."""
    memory = RegistryMemory()
    async with Transport(quick()) as transport:
        yield [
            Repository(transport, Reference(registry=host, repository=name), memory=memory)
            for name in names
        ]


@pytest.mark.parametrize("seen", ["pushed", "streamed", "exists", "read"])
async def test_a_blob_that_was_seen_beside_is_taken_over(seen: str) -> None:
    descriptor, data = blob(1000)
    async with watched() as server, neighbours(server.host, "one", "two") as (one, two):
        if seen == "streamed":
            await one.push_stream(BLOB, BytesSource(data))
        elif seen == "pushed":
            await one.push(descriptor, BytesSource(data))
        else:
            async with opened(server.host, "one") as before:
                await before.push(descriptor, BytesSource(data))
            if seen == "exists":
                assert await one.exists(descriptor)
            else:
                await read(one, descriptor)
        server.log.clear()
        await two.push(descriptor, BytesSource(data))
        assert [(one.method, one.path.split("/")[2]) for one in server.log] == [
            ("HEAD", "one"),
            ("POST", "two"),
        ]
        assert await read(two, descriptor) == data
        assert server.open_uploads() == 0


async def test_what_is_gone_there_is_pushed_without_a_vain_mount() -> None:
    descriptor, data = blob(1000)
    async with watched() as server, neighbours(server.host, "one", "two") as (one, two):
        await one.push(descriptor, BytesSource(data))
        async with opened(server.host, "one") as other:
            await other.delete(descriptor)
        server.log.clear()
        await two.push(descriptor, BytesSource(data))
        assert [one.method for one in server.log] == ["HEAD", "POST", "PUT"]
        assert "mount=" not in server.log[1].path
        assert await read(two, descriptor) == data


async def test_d70_a_mount_that_fails_after_all_gives_its_session_to_the_push() -> None:
    descriptor, data = blob(1000)
    steps = scripted(HEAD=said(200), POST=OPENED, PUT=STORED)
    async with serve(steps) as server, neighbours(server.host, "one", "two", "three") as all_:
        assert await all_[0].exists(descriptor)
        await all_[1].push(descriptor, BytesSource(data))
        assert [one.method for one in server.seen] == ["HEAD", "HEAD", "POST", "PUT"]
        assert "mount=" in server.seen[2].path


async def test_nothing_is_asked_where_nothing_is_known() -> None:
    async with watched() as server, neighbours(server.host, "one", "two") as (one, two):
        await push_blob(one, 1000, seed=1)
        await push_blob(one, 1000, seed=2)
        server.log.clear()
        await push_blob(two, 1000, seed=3)
        await push_blob(one, 1000, seed=2)
    assert [one.method for one in server.log] == ["POST", "PUT"] * 2


async def test_only_the_latest_blobs_are_remembered() -> None:
    seen = SeenBlobs(max_blobs=2)
    first, second, third = (blob(10, seed)[0].digest for seed in range(3))
    for digest in (first, second, first, third):
        seen.add(digest, "place")
    assert [seen.elsewhere(digest, "x") for digest in (first, second, third)] == [
        "place",
        None,
        "place",
    ]
    assert seen.elsewhere(first, "place") is None
    seen.forget(first, "another")
    assert seen.elsewhere(first, "x") == "place"
    seen.forget(first, "place")
    assert seen.elsewhere(first, "x") is None
