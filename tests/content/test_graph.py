"""Walking content: order, sharing, depth, and what is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ocipkg_async.content import (
    BlobReader,
    BytesSource,
    MemoryStore,
    fetch_bytes,
    fetch_document,
    walk,
)
from ocipkg_async.content import graph as graph_module
from ocipkg_async.errors import (
    IntegrityError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    TooShortError,
    UnsupportedError,
)
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Index, Manifest
from ocipkg_async.spec import media_types as m


class CountingStore(MemoryStore):
    """Remembers what was fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[Digest] = []

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        self.fetched.append(descriptor.digest)
        async with super().fetch(descriptor) as reader:
            yield reader


async def put(store: MemoryStore, data: bytes, media_type: str = m.OCTET_STREAM) -> Descriptor:
    descriptor = Descriptor.of(data, media_type)
    await store.push(descriptor, BytesSource(data))
    return descriptor


async def put_manifest(store: MemoryStore, *layers: Descriptor) -> Descriptor:
    manifest = Manifest.build(config=EMPTY, layers=layers, artifact_type="a/b")
    return await put(store, manifest.raw, m.OCI_MANIFEST)


async def put_index(store: MemoryStore, *children: Descriptor) -> Descriptor:
    return await put(store, Index.build(manifests=children).raw, m.OCI_INDEX)


async def test_d76_what_a_node_needs_comes_before_it() -> None:
    store = CountingStore()
    shared, own = await put(store, b"shared"), await put(store, b"own")
    one = await put_manifest(store, shared)
    two = await put_manifest(store, own, shared)
    inner = await put_index(store, two)
    root = await put_index(store, one, inner, two)

    found = await walk(store, root)

    order = [descriptor.digest for descriptor, _ in found]
    assert order == [d.digest for d in (EMPTY, shared, one, own, two, inner, root)]
    for descriptor, document in found:
        if document is None:
            assert not descriptor.is_document
        else:
            assert document.digest == descriptor.digest
            for successor in document.successors:
                assert order.index(successor.digest) < order.index(descriptor.digest)
    # Documents are fetched once each, blobs not at all.
    assert sorted(store.fetched) == sorted(d.digest for d in (one, two, inner, root))


async def test_walk_of_one_blob() -> None:
    store = CountingStore()
    blob = await put(store, b"x")
    assert await walk(store, blob) == [(blob, None)]
    assert store.fetched == []


async def test_i35_the_subject_is_not_below() -> None:
    store = MemoryStore()
    subject = Descriptor.of(b"elsewhere", m.OCI_MANIFEST)
    manifest = Manifest.build(config=EMPTY, layers=(), artifact_type="a/b", subject=subject)
    root = await put(store, manifest.raw, m.OCI_MANIFEST)
    assert subject not in [descriptor for descriptor, _ in await walk(store, root)]


async def test_i34_many_paths_to_one_node_are_walked_once() -> None:
    """Each level lists the next one twice: 2 to the power of 8 paths, 9 documents."""
    store = CountingStore()
    node = await put_manifest(store)
    for level in range(Index.MAX_DEPTH):
        other = await put(store, b"%d" % level)
        node = await put_index(store, node, node, other)
    await walk(store, node)
    assert len(store.fetched) == Index.MAX_DEPTH + 1


@pytest.mark.parametrize("extra", [1, 500])
async def test_s02_depth_is_limited(extra: int) -> None:
    store = CountingStore()
    node = await put_manifest(store)
    for _ in range(Index.MAX_DEPTH):
        node = await put_index(store, node)
    assert (await walk(store, node))[-1][0] == node
    for _ in range(extra):
        node = await put_index(store, node)
    store.fetched.clear()
    with pytest.raises(LimitExceededError, match="nested"):
        await walk(store, node)
    assert len(store.fetched) <= Index.MAX_DEPTH + 1


async def test_s02_nodes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    layers = [await put(store, b"%d" % n) for n in range(10)]
    root = await put_manifest(store, *layers)
    monkeypatch.setattr(graph_module, "MAX_NODES", 12)
    assert len(await walk(store, root)) == 12
    monkeypatch.setattr(graph_module, "MAX_NODES", 11)
    with pytest.raises(LimitExceededError, match="11 nodes"):
        await walk(store, root)


async def test_s02_documents_are_limited() -> None:
    store = CountingStore()
    root = await put_manifest(store)
    with pytest.raises(LimitExceededError):
        await walk(store, root, max_bytes=root.size - 1)
    assert (await walk(store, root, max_bytes=root.size))[-1][0] == root


async def test_a_document_that_is_also_listed_as_a_blob_is_still_walked() -> None:
    store = MemoryStore()
    layer = await put(store, b"layer")
    child = await put_manifest(store, layer)
    as_blob = Descriptor(media_type=m.OCTET_STREAM, digest=child.digest, size=child.size)
    root = await put_index(store, as_blob, child)
    found = [descriptor for descriptor, _ in await walk(store, root)]
    assert found == [as_blob, EMPTY, layer, child, root]


async def test_missing_and_wrong_documents() -> None:
    store = MemoryStore()
    missing = Descriptor.of(b"missing", m.OCI_MANIFEST)
    with pytest.raises(NotFoundError):
        await walk(store, await put_index(store, missing))
    with pytest.raises(InvalidDocumentError):
        await walk(store, await put(store, b"{}", m.OCI_MANIFEST))
    right = await put_manifest(store)
    wrong = Descriptor(media_type=m.OCI_MANIFEST, digest=right.digest, size=right.size + 1)
    with pytest.raises(TooShortError):
        await fetch_document(store, wrong)


async def test_i38_the_body_must_not_contradict_the_descriptor() -> None:
    store = MemoryStore()
    manifest = await put_manifest(store)
    lying = Descriptor(media_type=m.OCI_INDEX, digest=manifest.digest, size=manifest.size)
    with pytest.raises(InvalidDocumentError):
        await fetch_document(store, lying)


async def test_d36_embedded_data_needs_no_request() -> None:
    store = CountingStore()
    embedded = Descriptor.of(EMPTY_JSON, EMPTY.media_type, embed=True)
    assert await fetch_bytes(store, embedded) == EMPTY_JSON
    assert store.fetched == []
    with pytest.raises(NotFoundError):
        await fetch_bytes(store, EMPTY)


@pytest.mark.parametrize(
    ("data", "digest", "size", "error"),
    [
        (b"abcd", Digest.of(b"abc"), 3, IntegrityError),
        (b"ab", Digest.of(b"abc"), 3, IntegrityError),
        (b"abd", Digest.of(b"abc"), 3, IntegrityError),
        (b"abc", Digest("blake3:aa"), 3, UnsupportedError),
        (b"x" * 200, Digest.of(b"x" * 200), 200, LimitExceededError),
    ],
)
async def test_s01_embedded_data_is_verified(
    data: bytes, digest: Digest, size: int, error: type[Exception]
) -> None:
    descriptor = Descriptor(media_type="a/b", digest=digest, size=size, data=data)
    with pytest.raises(error):
        await fetch_bytes(MemoryStore(), descriptor, max_bytes=100)
