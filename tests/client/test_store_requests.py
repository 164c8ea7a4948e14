"""What getting packages costs at the registry, and what is written without it."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from client.trees import FILES, contents, everything, make_tree, push_index
from faulty.faults import Cut, Drip
from faulty.proxy import FaultyProxy
from faulty.when import BLOBS
from ocipkg_async import Client, ClientOptions, RetryPolicy, TransportOptions
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import NotFoundError, OCIError
from ocipkg_async.events import Event, Warned
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor, Manifest, Reference, media_types

MIB = 1 << 20
LARGE = 9 * MIB
"""What is downloaded to a file with a journal."""


@pytest.fixture
async def proxy(embedded: EmbeddedRegistry) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(embedded.host) as proxy:
        yield proxy


@pytest.fixture
def options(tmp_path: Path) -> ClientOptions:
    transport = TransportOptions(retry=RetryPolicy(attempts=1))
    return ClientOptions(store=tmp_path / "store", transport=transport)


@pytest.fixture
async def client(options: ClientOptions) -> AsyncIterator[Client]:
    async with Client(options) as client:
        yield client


def asked(proxy: FaultyProxy) -> list[str]:
    found = [f"{one.method} {one.target}" for one in proxy.exchanges]
    proxy.exchanges.clear()
    return found


async def test_what_is_installed_costs_one_request(
    client: Client, embedded: EmbeddedRegistry, proxy: FaultyProxy, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree")
    await client.pack([tree], f"{embedded.host}/a:v1")
    await push_index(client, f"{embedded.host}/b:v1", tmp_path, ("linux/arm64", "linux/amd64"))
    await client.get(f"{proxy.host}/a:v1")
    assert len(asked(proxy)) == 4  # the tag, its manifest, the config, the layer
    await client.get(f"{proxy.host}/b:v1", platform="linux/arm64")
    assert len(asked(proxy)) == 5
    for name in ("a", "b"):
        for _ in range(2):
            await client.get(f"{proxy.host}/{name}:v1", platform="linux/arm64")
            assert len(asked(proxy)) == 1
    await client.get(f"{proxy.host}/b:v1", platform="linux/amd64")
    assert len(asked(proxy)) == 4  # its index is known
    await client.prune()
    await client.get(f"{proxy.host}/b:v1", platform="linux/amd64")
    assert len(asked(proxy)) == 1
    for platform in ("linux/amd64", "linux/arm64"):
        await client.remove(f"{proxy.host}/b:v1", platform=platform)
    assert (await client.prune()).blobs == 0
    assert not any(path.startswith("indexes/s") and len(path) > 30 for path in stored(client))


def stored(client: Client) -> list[str]:
    assert client.options.store
    return everything(client.options.store)


async def package_with(
    client: Client, reference: str, layers: list[bytes], text: str
) -> Descriptor:
    """Push an artifact, a file for each layer."""
    repository = client.repository(reference)
    described: list[Descriptor] = []
    for number, data in enumerate(layers):
        layer = Descriptor.of(data, media_types.OCTET_STREAM)
        await repository.push(layer, BytesSource(data))
        notes = {"org.opencontainers.image.title": f"{number}.bin"}
        described.append(
            Descriptor(
                media_type=layer.media_type,
                digest=layer.digest,
                size=layer.size,
                annotations=notes,
            )
        )
    config = Descriptor.of(b"{}", "application/vnd.test.config")
    await repository.push(config, BytesSource(b"{}"))
    manifest = Manifest.build(
        config=config, layers=tuple(described), artifact_type="a/b", annotations={"text": text}
    )
    tag = Reference.parse(reference).tag
    assert tag
    await repository.push_tagged(manifest.descriptor, BytesSource(manifest.raw), tag)
    return manifest.descriptor


async def get_all(options: ClientOptions, references: list[str]) -> list[Event]:
    """Get packages at once, each with a client of its own, as processes would."""
    events: list[Event] = []

    async def get(reference: str) -> None:
        async with Client(options, on_event=events.append) as client:
            await client.get(reference)

    async with anyio.create_task_group() as group:
        for reference in references:
            group.start_soon(get, reference)
    return events


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_one_package_is_downloaded_once(
    client: Client,
    embedded: EmbeddedRegistry,
    proxy: FaultyProxy,
    options: ClientOptions,
    size: int,
) -> None:
    data = bytes(size)
    await package_with(client, f"{embedded.host}/a:v1", [data], "")
    proxy.inject(Drip(piece=max(1, size // 8), interval_s=0.01, when=BLOBS))
    await get_all(options, [f"{proxy.host}/a:v1"] * 4)
    digest = Descriptor.of(data, "a/b").digest
    assert [line for line in asked(proxy) if digest in line] == [f"GET /v2/a/blobs/{digest}"]
    assert await client.verify() == []


async def test_layer_that_packages_share_is_downloaded_once(
    client: Client, embedded: EmbeddedRegistry, proxy: FaultyProxy, options: ClientOptions
) -> None:
    """Also while it is in flight: who comes later waits, and nobody takes it away from others."""
    data, names = bytes(LARGE), ["a", "b", "c"]
    for name in names:
        await package_with(client, f"{embedded.host}/{name}:v1", [data, name.encode()], "")
    proxy.inject(Drip(piece=LARGE // 16, interval_s=0.01, when=BLOBS))
    await get_all(options, [f"{proxy.host}/{name}:v1" for name in names])
    assert proxy.sent(Descriptor.of(data, "a/b").digest) == LARGE
    for name in names:
        package = await client.find(f"{proxy.host}/{name}:v1")
        assert contents(package.path) == {"0.bin": data, "1.bin": name.encode()}
    assert await client.verify() == []
    assert not any(".partial" in path or ".tmp-" in path for path in stored(client))


async def test_equal_packages_at_once_are_there_once(
    client: Client, embedded: EmbeddedRegistry, proxy: FaultyProxy, options: ClientOptions
) -> None:
    names = ["a", "b", "c"]
    for name in names:
        await package_with(client, f"{embedded.host}/{name}:v1", [b"data"], name)
    await get_all(options, [f"{proxy.host}/{name}:v1" for name in names])
    files = {(package.path / "0.bin").stat().st_ino for package in await client.packages()}
    assert len(await client.packages()) == 3
    assert len(files) == 1
    digest = Descriptor.of(b"data", "a/b").digest
    assert sum(digest in line for line in asked(proxy)) == 1


async def test_next_get_goes_on_where_a_broken_one_stopped(
    client: Client, embedded: EmbeddedRegistry, proxy: FaultyProxy, options: ClientOptions
) -> None:
    data = bytes(LARGE)
    await package_with(client, f"{embedded.host}/a:v1", [data], "")
    proxy.inject(Cut(at=6 * MIB, when=BLOBS))
    events: list[Event] = []
    async with Client(options, on_event=events.append) as broken:
        with pytest.raises(OCIError):
            await broken.get(f"{proxy.host}/a:v1")
    assert any("run this again" in event.text for event in events if isinstance(event, Warned))
    proxy.clear()
    package = await client.get(f"{proxy.host}/a:v1")
    assert contents(package.path) == {"0.bin": data}
    assert proxy.sent(Descriptor.of(data, "a/b").digest) < 6 * MIB
    assert not any(".partial" in path for path in stored(client))


async def test_save_needs_the_registry_for_layers_that_are_not_kept(
    client: Client, embedded: EmbeddedRegistry, options: ClientOptions, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree")
    async with FaultyProxy(embedded.host) as proxy:
        reference = f"{proxy.host}/a:v1"
        packed = await client.pack([tree], reference)
        await client.get(reference)
        asked(proxy)
        assert await client.save(reference, str(tmp_path / "first.tar")) == packed
        assert len(asked(proxy)) == 1
    with pytest.raises(NotFoundError) as caught:
        await client.save(reference, str(tmp_path / "second.tar"))
    assert f"get --keep-layers {reference}" in (caught.value.hint or "")
    assert not (tmp_path / "second.tar").exists()
    kept = ClientOptions(store=tmp_path / "kept", transport=options.transport, keep_layers=True)
    async with Client(kept) as keeping:
        (package,) = await keeping.load(str(tmp_path / "first.tar"))
        assert contents(package.path) == FILES
        assert await keeping.save(reference, str(tmp_path / "second.tar")) == packed
    assert (tmp_path / "second.tar").read_bytes() == (tmp_path / "first.tar").read_bytes()
