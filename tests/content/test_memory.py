"""The memory store, and that it is a store in the sense of each protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from ocipkg_async.content import (
    BytesSource,
    ByteStream,
    Deleter,
    Fetcher,
    LocalFiles,
    MemoryStore,
    Mounter,
    ProducerSource,
    Pusher,
    ReadStore,
    ReferrersLister,
    Resolver,
    Store,
    StreamPusher,
    TaggedPusher,
    Tagger,
    TagLister,
    Untagger,
)
from ocipkg_async.errors import IntegrityError, NotFoundError, TooLongError, TooShortError
from ocipkg_async.spec import EMPTY, Descriptor, Digest, Manifest
from ocipkg_async.spec import media_types as m

BLOB = Descriptor.of(b"blob", m.OCTET_STREAM)


def manifest(text: str, subject: Descriptor | None = None, kind: str = "a/b") -> Manifest:
    return Manifest.build(
        config=EMPTY,
        layers=(),
        artifact_type=kind,
        subject=subject,
        annotations={"text": text},
    )


async def put(store: MemoryStore, document: Manifest) -> Descriptor:
    await store.push(document.descriptor, BytesSource(document.raw))
    return document.descriptor


async def get(store: MemoryStore, descriptor: Descriptor) -> bytes:
    async with store.fetch(descriptor) as reader:
        return await reader.read_all()


def test_protocols_for_the_type_checker_and_at_run_time() -> None:
    store = MemoryStore()
    whole: Store = store
    readable: ReadStore = store
    fetcher: Fetcher = store
    resolver: Resolver = store
    pusher: Pusher = store
    tagger: Tagger = store
    streamer: StreamPusher = store
    lister: TagLister = store
    untagger: Untagger = store
    deleter: Deleter = store
    referrers: ReferrersLister = store
    assert whole is readable is store
    assert isinstance(fetcher, Fetcher)
    assert isinstance(resolver, Resolver)
    assert isinstance(pusher, Pusher)
    assert isinstance(tagger, Tagger)
    assert isinstance(streamer, StreamPusher)
    assert isinstance(lister, TagLister)
    assert isinstance(untagger, Untagger)
    assert isinstance(deleter, Deleter)
    assert isinstance(referrers, ReferrersLister)


@pytest.mark.parametrize("power", [Mounter, LocalFiles, TaggedPusher])
def test_powers_it_does_not_claim(power: type) -> None:
    """Callers ask with isinstance, so the answer must be able to be no."""
    assert not isinstance(MemoryStore(), power)


async def test_push_and_fetch() -> None:
    store = MemoryStore()
    assert not await store.exists(BLOB)
    with pytest.raises(NotFoundError, match="sha256"):
        await get(store, BLOB)
    await store.push(BLOB, BytesSource(b"blob"))
    await store.push(BLOB, BytesSource(b"blob"))
    assert await store.exists(BLOB)
    assert await get(store, BLOB) == b"blob"
    assert await store.resolve(BLOB.digest) == BLOB


@pytest.mark.parametrize("wrong", [b"", b"blo", b"blob!", b"bloB"])
async def test_s07_wrong_content_is_not_kept(wrong: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(IntegrityError):
        await store.push(BLOB, BytesSource(wrong))
    assert not await store.exists(BLOB)


async def test_cancelled_push_leaves_nothing() -> None:
    class Stalled:
        size = 4
        reopenable = True

        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            await anyio.sleep_forever()
            yield  # type: ignore[misc]

    store = MemoryStore()
    task = asyncio.create_task(store.push(BLOB, Stalled()))
    await anyio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await store.exists(BLOB)


async def test_fetch_is_verified_against_what_was_asked_for() -> None:
    store = MemoryStore()
    await store.push(BLOB, BytesSource(b"blob"))
    for size, error in ((3, TooLongError), (5, TooShortError)):
        asked = Descriptor(media_type=BLOB.media_type, digest=BLOB.digest, size=size)
        with pytest.raises(error):
            await get(store, asked)


async def test_sha512_content() -> None:
    store = MemoryStore()
    descriptor = Descriptor(media_type="a/b", digest=Digest.of(b"blob", "sha512"), size=4)
    await store.push(descriptor, BytesSource(b"blob"))
    assert await get(store, descriptor) == b"blob"


async def test_push_stream_finds_the_digest() -> None:
    store = MemoryStore()

    def produce(write: Callable[[bytes], None]) -> None:
        write(b"bl")
        write(b"ob")

    assert await store.push_stream(BLOB.media_type, ProducerSource(produce)) == BLOB
    assert await get(store, BLOB) == b"blob"


async def test_tags() -> None:
    store = MemoryStore()
    one, two = await put(store, manifest("1")), await put(store, manifest("2"))
    assert await store.tags() == []
    for name in ("v2", "v1", "latest"):
        await store.tag(one, name)
    assert await store.tags() == ["latest", "v1", "v2"]
    assert await store.resolve("v1") == one
    await store.tag(two, "v1")
    assert await store.resolve("v1") == two
    await store.untag("v1")
    assert await store.tags() == ["latest", "v2"]
    assert await store.exists(two)
    for name in ("v1", "sha256:" + "a" * 64, ""):
        with pytest.raises(NotFoundError):
            await store.resolve(name)
    with pytest.raises(NotFoundError):
        await store.untag("v1")
    with pytest.raises(NotFoundError):
        await store.tag(manifest("3").descriptor, "v3")


async def test_d111_deleting_content_takes_its_tags() -> None:
    store = MemoryStore()
    one, two = await put(store, manifest("1")), await put(store, manifest("2"))
    await store.tag(one, "a")
    await store.tag(one, "b")
    await store.tag(two, "c")
    await store.delete(one)
    assert await store.tags() == ["c"]
    assert not await store.exists(one)
    with pytest.raises(NotFoundError):
        await store.delete(one)


async def test_i11_referrers() -> None:
    store = MemoryStore()
    subject = await put(store, manifest("subject"))
    one = manifest("1", subject, "a/signature")
    two = manifest("2", subject, "a/sbom")
    for document in (one, two, manifest("3", BLOB), manifest("4")):
        await put(store, document)
    await store.push(BLOB, BytesSource(b"blob"))
    found = await store.referrers(subject.digest)
    assert {d.digest for d in found} == {one.digest, two.digest}
    (entry,) = await store.referrers(subject.digest, artifact_type="a/sbom")
    assert entry == two.referrer_descriptor
    assert await store.referrers(two.digest) == []


async def test_i35_the_subject_need_not_be_there() -> None:
    store = MemoryStore()
    await put(store, manifest("1", BLOB))
    assert len(await store.referrers(BLOB.digest)) == 1
