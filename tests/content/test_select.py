"""The manifest for one platform, from an index and the indexes inside it."""

import pytest

from ocipkg_async.content import BytesSource, MemoryStore, select_manifest
from ocipkg_async.errors import InvalidDocumentError, LimitExceededError, NotFoundError
from ocipkg_async.spec import EMPTY, Descriptor, Digest, Index, Manifest, Platform
from ocipkg_async.spec import media_types as m


async def put(store: MemoryStore, document: Manifest | Index) -> Descriptor:
    await store.push(document.descriptor, BytesSource(document.raw))
    return document.descriptor


def manifest(name: str) -> Manifest:
    return Manifest.build(config=EMPTY, layers=(), artifact_type="a/b", annotations={"name": name})


def at(descriptor: Descriptor, platform: str) -> Descriptor:
    return Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        platform=Platform.parse(platform),
    )


async def index(store: MemoryStore, *platforms: str) -> Descriptor:
    entries = [at(await put(store, manifest(text)), text) for text in platforms]
    return await put(store, Index.build(manifests=tuple(entries)))


async def name(store: MemoryStore, root: Descriptor, platform: str | None = None) -> str:
    wanted = Platform.parse(platform) if platform else None
    return (await select_manifest(store, root, wanted)).annotations["name"]


async def test_a_manifest_needs_no_choice() -> None:
    store = MemoryStore()
    root = await put(store, manifest("only"))
    assert await name(store, root) == "only"
    assert await name(store, root, "plan9/arm") == "only"


async def test_i73_the_platform_asked_for() -> None:
    store = MemoryStore()
    root = await index(store, "linux/arm64", "linux/amd64", "windows/amd64")
    assert await name(store, root, "linux/amd64") == "linux/amd64"
    assert await name(store, root, "windows/amd64/v3") == "windows/amd64"


async def test_the_only_manifest_is_taken_unless_another_was_asked_for() -> None:
    store = MemoryStore()
    root = await index(store, "plan9/arm/v5")
    assert await name(store, root) == "plan9/arm/v5"
    with pytest.raises(NotFoundError):
        await name(store, root, "linux/amd64")


async def test_i76_nested_indexes_and_no_match() -> None:
    store = MemoryStore()
    inner = await index(store, "linux/arm64", "linux/amd64")
    root = await put(store, Index.build(manifests=(at(inner, "linux/amd64"),)))
    assert await name(store, root, "linux/amd64") == "linux/amd64"
    flat = await index(store, "linux/arm64", "darwin/arm64")
    with pytest.raises(NotFoundError) as caught:
        await name(store, flat, "windows/amd64")
    assert "linux/arm64, darwin/arm64" in (caught.value.hint or "")


async def test_d47_entries_of_unknown_type_are_skipped() -> None:
    store = MemoryStore()
    known = await put(store, manifest("known"))
    odd = Descriptor(media_type="application/vnd.x", digest=Digest.of(b""), size=0)
    root = await put(store, Index.build(manifests=(odd, known)))
    assert await name(store, root) == "known"


async def test_a_blob_is_no_package() -> None:
    store = MemoryStore()
    blob = await store.push_stream(m.OCTET_STREAM, BytesSource(b"x"))
    with pytest.raises(InvalidDocumentError):
        await select_manifest(store, blob)


async def test_i34_nesting_is_limited() -> None:
    store = MemoryStore()
    root = await put(store, manifest("deep"))
    for _ in range(Index.MAX_DEPTH + 3):
        root = await put(store, Index.build(manifests=(root,)))
    with pytest.raises(LimitExceededError):
        await select_manifest(store, root)


async def test_an_empty_index() -> None:
    store = MemoryStore()
    with pytest.raises(NotFoundError) as caught:
        await name(store, await put(store, Index.build(manifests=())))
    assert "nothing" in (caught.value.hint or "")
