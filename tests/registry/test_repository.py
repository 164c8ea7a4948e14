"""A repository as a store: what is there, what is removed, and what only claims to be there."""

import pytest

from ocipkg_async.content import (
    BytesSource,
    Deleter,
    MemoryStore,
    Mounter,
    ReferrersLister,
    Store,
    StreamPusher,
    TaggedPusher,
    TagLister,
    Untagger,
    fetch_bytes,
)
from ocipkg_async.copy import copy_graph
from ocipkg_async.errors import (
    ClosedError,
    ConnectError,
    DigestMismatchError,
    NotFoundError,
    RegistryError,
    TooShortError,
    UnauthorizedError,
    UnsupportedError,
)
from ocipkg_async.registry import Repository
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import EMPTY, Descriptor, Digest, Manifest, Reference, media_types
from ocipkg_async.transport import RetryPolicy, Transport
from registries import RunningRegistry
from registry.driving import ARTIFACT, blob, opened, push_artifact, push_blob, read, said, watched
from transport.servers import serve


async def test_it_has_every_power_of_a_store() -> None:
    async with opened("reg.example") as repository:
        for power in (
            Deleter,
            Mounter,
            ReferrersLister,
            StreamPusher,
            TaggedPusher,
            TagLister,
            Untagger,
        ):
            assert isinstance(repository, power)
        store: Store = repository
        assert store is repository
        assert str(repository.reference) == "reg.example/test/repository"


async def test_d111_a_removed_manifest_takes_its_tags_along(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as repository:
        document, other = [await push_artifact(repository, text) for text in ("one", "two")]
        for name in ("v1", "latest"):
            await repository.tag(document.descriptor, name)
        await repository.tag(other.descriptor, "other")
        await repository.delete(document.descriptor)
        assert not await repository.exists(document.descriptor)
        for name in ("v1", "latest", document.digest):
            with pytest.raises(NotFoundError):
                await repository.resolve(name)
        assert await repository.resolve("other") == other.descriptor
        with pytest.raises(NotFoundError):
            await repository.delete(document.descriptor)


async def test_d112_blobs_are_removed(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        descriptor, _ = await push_blob(repository)
        await repository.delete(descriptor)
        assert not await repository.exists(descriptor)
        with pytest.raises(NotFoundError):
            await repository.delete(descriptor)


async def test_a_tag_is_removed_alone() -> None:
    async with EmbeddedRegistry() as server, opened(server.host) as repository:
        document = await push_artifact(repository)
        for name in ("v1", "v2"):
            await repository.tag(document.descriptor, name)
        await repository.untag("v1")
        assert await repository.tags() == ["v2"]
        assert await repository.exists(document.descriptor)
        with pytest.raises(NotFoundError):
            await repository.untag("v1")


async def test_d110_a_tag_is_never_removed_with_its_manifest(
    plain_registry: RunningRegistry, repository_name: str
) -> None:
    """Distribution 2.8 removes no single tags: that must not remove all of them."""
    async with opened(plain_registry.host, repository_name) as repository:
        document = await push_artifact(repository)
        for name in ("v1", "v2"):
            await repository.tag(document.descriptor, name)
        with pytest.raises(UnsupportedError, match="cannot remove the tag v1") as caught:
            await repository.untag("v1")
        assert caught.value.hint
        assert await repository.tags() == ["v1", "v2"]
        assert await repository.resolve("v1") == document.descriptor


async def test_deleting_that_is_switched_off_says_so() -> None:
    async with EmbeddedRegistry(delete=False) as server, opened(server.host) as repository:
        document = await push_artifact(repository)
        await repository.tag(document.descriptor, "v1")
        for removal in (
            repository.delete(document.descriptor),
            repository.delete(EMPTY),
            repository.untag("v1"),
        ):
            with pytest.raises(UnsupportedError) as caught:
                await removal
            assert caught.value.hint
        assert await repository.resolve("v1") == document.descriptor


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_d113_each_way_to_say_that_it_is_gone(status: int) -> None:
    async with serve(said(status)) as server, opened(server.host) as repository:
        await repository.delete(blob(5)[0])
        await repository.untag("v1")


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_d30_only_404_means_that_it_is_not_there(status: int) -> None:
    async with serve(said(status)) as server, opened(server.host) as repository:
        for descriptor in (EMPTY, Descriptor.of(b"{}", media_types.OCI_MANIFEST)):
            with pytest.raises(RegistryError) as caught:
                await repository.exists(descriptor)
            assert caught.value.status == status
            assert str(status) in str(caught.value)


async def test_d21_a_registry_may_ask_for_a_password_where_it_likes() -> None:
    asking = said(401, WWW_Authenticate='Basic realm="r"')
    async with serve(asking) as server, opened(server.host) as repository:
        with pytest.raises(UnauthorizedError) as caught:
            await repository.resolve("v1")
        assert caught.value.hint


async def test_d36_embedded_data_needs_no_registry() -> None:
    data = b'{"a":1}'
    embedded = Descriptor.of(data, "application/json", embed=True)
    async with opened("127.0.0.1:1") as repository:
        assert await fetch_bytes(repository, embedded) == data
        for broken, error in (
            (b'{"a":2}', DigestMismatchError),
            (b'{"a":', TooShortError),
        ):
            wrong = Descriptor(
                media_type="application/json", digest=embedded.digest, size=7, data=broken
            )
            with pytest.raises(error):
                await fetch_bytes(repository, wrong)


async def test_d36_a_blob_that_is_only_embedded_is_copied() -> None:
    data = b'{"a":1}'
    embedded = Descriptor.of(data, "application/json", embed=True)
    document = Manifest.build(config=embedded, layers=(), artifact_type=ARTIFACT)
    async with EmbeddedRegistry(sparse=True) as server, opened(server.host) as repository:
        await repository.push(document.descriptor, BytesSource(document.raw))
        assert not await repository.exists(embedded)
        there = MemoryStore()
        await copy_graph(repository, there, document.descriptor)
        assert await fetch_bytes(there, embedded.plain()) == data


async def test_names_of_repositories_stand_in_paths_as_they_are() -> None:
    async with watched() as server, opened(server.host, "a/b-c__d.e/f") as repository:
        descriptor, data = await push_blob(repository)
        assert await read(repository, descriptor) == data
    assert all(one.path.startswith("/v2/a/b-c__d.e/f/") for one in server.log)


async def test_docker_hub_is_asked_at_its_own_host() -> None:
    async with Transport() as transport:
        repository = Repository(transport, Reference.parse("ubuntu:24.04"))
        assert transport.base_url("docker.io") == "https://registry-1.docker.io"
        assert str(repository.reference) == "docker.io/library/ubuntu"


async def test_tag_and_digest_of_its_reference_are_not_looked_at() -> None:
    async with EmbeddedRegistry() as server, Transport() as transport:
        digest = Digest("sha256:" + "0" * 64)
        reference = Reference(registry=server.host, repository="a/b", tag="none", digest=digest)
        repository = Repository(transport, reference)
        document = await push_artifact(repository)
        assert await repository.tags() == []
        assert await repository.exists(document.descriptor)


async def test_a_host_that_is_not_there_is_told_once() -> None:
    async with EmbeddedRegistry() as server:
        host = server.host
    async with opened(host, retry=RetryPolicy(attempts=1)) as repository:
        for action in (
            repository.resolve("v1"),
            repository.exists(EMPTY),
            repository.tags(),
            repository.push(EMPTY, BytesSource(b"{}")),
            read(repository, EMPTY),
            repository.referrers(EMPTY.digest),
            repository.delete(EMPTY),
        ):
            with pytest.raises(ConnectError, match="cannot connect"):
                await action
        assert not await repository.mount(EMPTY, "other")


async def test_a_closed_transport_is_told() -> None:
    async with opened("reg.example") as repository:
        pass
    with pytest.raises(ClosedError):
        await repository.exists(EMPTY)
    with pytest.raises(ClosedError):
        await read(repository, EMPTY)
    with pytest.raises(ClosedError):
        await repository.push(EMPTY, BytesSource(b"{}"))
