"""Blobs that are taken over from another repository."""

import pytest

from ocipkg_async.content import (
    BytesSource,
    MemoryStore,
)
from ocipkg_async.copy import copy_graph
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, said, scripted, watched
from registry.upload.samples import OPENED, STORED
from transport.servers import serve


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
