"""Copying between all kinds of stores: order, what is skipped, and what failures leave behind."""

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import peers
from moments import just_before
from ocipkg_async.content import (
    BlobReader,
    BytesSource,
    Fetcher,
    MemoryStore,
    ReadStore,
    Source,
    Store,
    fetch_bytes,
    walk,
)
from ocipkg_async.copy import copy_graph
from ocipkg_async.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    StorageError,
    TransportError,
)
from ocipkg_async.events import Event, Finished, Planned, Progressed, Skipped, Started
from ocipkg_async.layout import ArchiveReader, ArchiveWriter, Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Index, Manifest, media_types
from ocipkg_async.spec.decoding import encode_json
from registries import RunningRegistry
from registry.driving import ARTIFACT, blob, opened, push_artifact, watched

KINDS = ("memory", "layout", "archive", "registry")


class Recording(MemoryStore):
    """A store that remembers what was asked of it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[Descriptor] = []
        self.fetched: Counter[Digest] = Counter()
        self.tagged: list[str] = []
        self.busy = 0
        self.busiest = 0

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        self.fetched[descriptor.digest] += 1
        async with super().fetch(descriptor) as reader:
            yield reader

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await anyio.sleep(0.001)
            await super().push(descriptor, source)
        finally:
            self.busy -= 1
        self.pushed.append(descriptor)

    async def tag(self, descriptor: Descriptor, name: str) -> None:
        await super().tag(descriptor, name)
        self.tagged.append(name)


async def push_image(store: Store, *sizes: int) -> Manifest:
    """Push a manifest of the empty config and a layer of each size."""
    layers = []
    await store.push(EMPTY, BytesSource(EMPTY_JSON))
    for size in sizes:
        descriptor, data = blob(size)
        await store.push(descriptor, BytesSource(data))
        layers.append(descriptor)
    document = Manifest.build(config=EMPTY, layers=tuple(layers), artifact_type=ARTIFACT)
    await store.push(document.descriptor, BytesSource(document.raw))
    return document


async def push_index(store: Store, *documents: Manifest | Index) -> Index:
    index = Index.build(manifests=tuple(document.descriptor for document in documents))
    await store.push(index.descriptor, BytesSource(index.raw))
    return index


async def push_tree(store: Store) -> Index:
    """Push an index of an image and of an index of two; they share a layer and the config."""
    one = await push_image(store, 100, 200_000)
    two = await push_image(store, 100, 300)
    three = await push_image(store, 400)
    return await push_index(store, one, await push_index(store, two, three))


@asynccontextmanager
async def source_of(kind: str, place: Path) -> AsyncIterator[tuple[ReadStore, Descriptor]]:
    """A store of a kind that holds the tree."""
    if kind == "archive":
        async with ArchiveWriter.open(place / "source.tar") as archive:
            root = (await push_tree(archive)).descriptor
            await archive.tag(root, "v1")
        async with ArchiveReader.open(place / "source.tar") as reader:
            yield reader, root
    elif kind == "layout":
        layout = await Layout.open(place / "source", create=True)
        yield layout, (await push_tree(layout)).descriptor
    elif kind == "registry":
        async with EmbeddedRegistry() as server, opened(server.host, "source") as repository:
            yield repository, (await push_tree(repository)).descriptor
    else:
        memory = MemoryStore()
        yield memory, (await push_tree(memory)).descriptor


@asynccontextmanager
async def destination_of(kind: str, place: Path) -> AsyncIterator[tuple[Store, list[ReadStore]]]:
    """An empty store of a kind; the list says what to read it by, at the end."""
    if kind == "archive":
        async with ArchiveWriter.open(place / "destination.tar") as archive:
            yield archive, []
    elif kind == "layout":
        layout = await Layout.open(place / "destination", create=True)
        yield layout, [layout]
    elif kind == "registry":
        async with EmbeddedRegistry() as server, opened(server.host, "destination") as repository:
            yield repository, [repository]
    else:
        memory = Recording()  # which has a point to be cancelled at
        yield memory, [memory]


async def contents(store: Fetcher, root: Descriptor) -> dict[Digest, bytes]:
    return {d.digest: await fetch_bytes(store, d.plain()) for d, _ in await walk(store, root)}


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("here", KINDS)
async def test_a_tree_is_copied_from_each_kind_of_store_to_each(
    here: str, there: str, tmp_path: Path
) -> None:
    async with source_of(here, tmp_path) as (source, root):
        expected = await contents(source, root)
        async with destination_of(there, tmp_path) as (destination, readable):
            report = await copy_graph(source, destination, root, names=["v1", "latest"])
            for store in readable:
                assert await contents(store, root) == expected
                for name in ("v1", "latest"):
                    assert (await store.resolve(name)).digest == root.digest
                again = await copy_graph(source, destination, root, names=["v2"])
                assert again.copied == ()
                assert again.skipped == (root,)
                assert (await store.resolve("v2")).digest == root.digest
        if there == "archive":
            async with ArchiveReader.open(tmp_path / "destination.tar") as archive:
                assert await contents(archive, root) == expected
                assert (await archive.resolve("latest")).digest == root.digest
    assert {descriptor.digest for descriptor in report.copied} == set(expected)
    assert report.bytes_copied == sum(map(len, expected.values()))
    assert report.skipped == ()


async def test_a_tree_is_copied_to_and_from_real_registries(
    registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    async with (
        source_of("layout", tmp_path) as (source, root),
        opened(registry.host, repository_name) as repository,
    ):
        expected = await contents(source, root)
        await copy_graph(source, repository, root, names=["v1"])
        assert await repository.resolve("v1") == root
        memory = MemoryStore()
        await copy_graph(repository, memory, root)
        assert await contents(memory, root) == expected


# --- order ---------------------------------------------------------------------------------------


async def test_children_come_before_parents_and_each_digest_once() -> None:
    source, destination = Recording(), Recording()
    root = await push_tree(source)
    source.fetched.clear()
    await copy_graph(source, destination, root.descriptor, names=["v1"])
    order = [descriptor.digest for descriptor in destination.pushed]
    assert len(order) == len(set(order))
    for descriptor, document in await walk(source, root.descriptor):
        for child in document.successors if document else ():
            assert order.index(child.digest) < order.index(descriptor.digest)
    assert order[-1] == root.digest
    assert destination.tagged == ["v1"]


async def test_each_digest_is_read_once() -> None:
    source, destination = Recording(), MemoryStore()
    root = await push_tree(source)
    await copy_graph(source, destination, root.descriptor)
    assert set(source.fetched.values()) == {1}


async def test_one_at_a_time_gives_one_order_the_largest_first() -> None:
    orders = []
    for _ in range(2):
        source, destination = Recording(), Recording()
        root = await push_image(source, 10, 3000, 200, 1)
        await copy_graph(source, destination, root.descriptor, concurrency=1)
        orders.append([descriptor.size for descriptor in destination.pushed[:-1]])
        assert destination.busiest == 1
    assert orders == [[3000, 200, 10, 2, 1]] * 2


async def test_no_more_move_at_once_than_allowed() -> None:
    source, destination = MemoryStore(), Recording()
    root = await push_image(source, *range(1, 20))
    await copy_graph(source, destination, root.descriptor, concurrency=3)
    assert destination.busiest == 3


# --- what moves ----------------------------------------------------------------------------------


async def test_what_is_there_is_skipped() -> None:
    source, destination = Recording(), Recording()
    root = await push_tree(source)
    shared, data = blob(100)
    await destination.push(shared, BytesSource(data))
    events: list[Event] = []
    report = await copy_graph(source, destination, root.descriptor, on_event=events.append)
    assert report.skipped == (shared.plain(),)
    assert shared not in report.copied
    assert source.fetched[shared.digest] == 0
    (skipped,) = [event for event in events if isinstance(event, Skipped)]
    assert (skipped.descriptor, skipped.reason) == (shared, "exists")


async def test_below_what_is_there_nothing_is_looked_at_unless_asked() -> None:
    source, destination = Recording(), MemoryStore()
    root = await push_tree(source)
    await copy_graph(source, destination, root.descriptor)
    lost = blob(300)[0]
    await destination.delete(lost)
    source.fetched.clear()
    assert (await copy_graph(source, destination, root.descriptor)).copied == ()
    assert not source.fetched
    report = await copy_graph(source, destination, root.descriptor, deep=True)
    assert report.copied == (lost.plain(),)
    assert await contents(destination, root.descriptor) == await contents(source, root.descriptor)


async def test_d68_foreign_layers_move_only_when_asked() -> None:
    data = b"foreign"
    foreign = Descriptor(
        media_type="application/vnd.oci.image.layer.nondistributable.v1.tar",
        digest=Digest.of(data),
        size=len(data),
        urls=("http://127.0.0.1:1/never-asked",),
    )
    source = MemoryStore()
    await source.push(EMPTY, BytesSource(EMPTY_JSON))
    root = Manifest.build(config=EMPTY, layers=(foreign,), artifact_type=ARTIFACT)
    await source.push(root.descriptor, BytesSource(root.raw))
    destination = MemoryStore()
    await copy_graph(source, destination, root.descriptor)
    assert not await destination.exists(foreign)
    with pytest.raises(NotFoundError):
        await copy_graph(source, MemoryStore(), root.descriptor, foreign_layers=True)
    await source.push(foreign, BytesSource(data))
    destination = MemoryStore()
    await copy_graph(source, destination, root.descriptor, foreign_layers=True)
    assert await destination.exists(foreign)


async def test_d70_blobs_are_mounted_on_the_same_registry(
    registry: RunningRegistry, repository_name: str
) -> None:
    events: list[Event] = []
    async with opened(registry.host, repository_name) as source:
        root = await push_tree(source)
        async with opened(registry.host, repository_name + "/copy") as destination:
            report = await copy_graph(
                source, destination, root.descriptor, names=["v1"], on_event=events.append
            )
            assert await contents(destination, root.descriptor) == await contents(
                source, root.descriptor
            )
    assert all(descriptor.is_document for descriptor in report.copied)
    mounted = [event for event in events if isinstance(event, Skipped)]
    assert {event.reason for event in mounted} == {"mounted"}
    assert len(mounted) == 5


async def test_a_refused_mount_is_no_failure() -> None:
    async with watched() as server, opened(server.host, "a") as source:
        root = await push_image(source, 10, 20)
        server.faults.when = lambda method, path: method == "POST" and "/v2/b/" in path
        server.faults.refuse_next, server.faults.refuse_status = 1, 403
        async with opened(server.host, "b") as destination:
            await copy_graph(source, destination, root.descriptor, concurrency=1)
            assert len(await contents(destination, root.descriptor)) == 4
        assert server.open_uploads() == 0


async def test_a_blob_alone_is_copied() -> None:
    source, destination = MemoryStore(), MemoryStore()
    descriptor, data = blob(1000)
    await source.push(descriptor, BytesSource(data))
    report = await copy_graph(source, destination, descriptor)
    assert report.copied == (descriptor,)
    assert await fetch_bytes(destination, descriptor) == data


async def test_referrers_stay_where_the_registry_has_no_list(
    plain_registry: RunningRegistry, repository_name: str
) -> None:
    """A copied manifest with a subject is listed at the destination, too."""
    source = MemoryStore()
    subject = await push_artifact(source)
    attached = await push_artifact(source, "attached", subject=subject.descriptor)
    async with opened(plain_registry.host, repository_name) as repository:
        for document in (subject, attached):
            await copy_graph(source, repository, document.descriptor)
        assert await repository.referrers(subject.digest) == [attached.referrer_descriptor]


# --- nesting and limits --------------------------------------------------------------------------


async def test_a_document_whose_blob_was_removed_is_repaired() -> None:
    source = MemoryStore()
    layer, data = blob(1000)
    for descriptor, content in ((layer, data), (EMPTY, EMPTY_JSON)):
        await source.push(descriptor, BytesSource(content))
    root = Manifest.build(config=EMPTY, layers=(layer,), artifact_type=ARTIFACT)
    await source.push(root.descriptor, BytesSource(root.raw))
    async with EmbeddedRegistry() as registry, opened(registry.host) as destination:
        await copy_graph(source, destination, root.descriptor, names=["v1"])
        await destination.delete(layer)
        report = await copy_graph(source, destination, root.descriptor, names=["v1"])
        assert report.copied == (layer,)
        assert await fetch_bytes(destination, layer) == data


async def test_indexes_may_be_nested_as_deep_as_they_can_be_walked() -> None:
    source, destination = MemoryStore(), MemoryStore()
    document: Manifest | Index = await push_image(source, 10)
    for _ in range(Index.MAX_DEPTH):
        document = await push_index(source, document)
    await copy_graph(source, destination, document.descriptor)
    assert len(await walk(destination, document.descriptor)) == Index.MAX_DEPTH + 3
    document = await push_index(source, document)
    for action in (
        walk(source, document.descriptor),
        copy_graph(source, MemoryStore(), document.descriptor),
    ):
        with pytest.raises(LimitExceededError, match="nested"):
            await action


async def test_an_index_that_lists_a_thing_many_times_moves_it_once() -> None:
    source, destination = Recording(), Recording()
    one = await push_image(source, 10)
    root = await push_index(source, *[one] * 500)
    source.fetched.clear()
    await copy_graph(source, destination, root.descriptor)
    assert set(source.fetched.values()) == {1}
    assert len(destination.pushed) == 4


async def test_a_document_that_is_too_large_is_not_read() -> None:
    source = MemoryStore()
    root = await push_image(source, *range(1, 30))
    with pytest.raises(LimitExceededError):
        await copy_graph(source, MemoryStore(), root.descriptor, max_document_bytes=1000)


async def test_a_document_that_is_none_is_refused_before_anything_moves() -> None:
    source, destination = MemoryStore(), Recording()
    raw = b'{"schemaVersion":2,"layers":[]}'
    broken = Descriptor.of(raw, media_types.OCI_MANIFEST)
    await source.push(broken, BytesSource(raw))
    index = Index.build(manifests=((await push_image(source, 10)).descriptor, broken))
    await source.push(index.descriptor, BytesSource(index.raw))
    with pytest.raises(InvalidDocumentError):
        await copy_graph(source, destination, index.descriptor, names=["v1"])
    assert destination.pushed == []


# --- failures ------------------------------------------------------------------------------------


class Damaged(Recording):
    """A store whose copy of one blob has another byte."""

    def __init__(self, damaged: Digest) -> None:
        super().__init__()
        self.damaged = damaged

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        await super().push(descriptor, source)
        if descriptor.digest == self.damaged:
            kept, data = self._content[descriptor.digest]
            self._content[descriptor.digest] = kept, b"!" + data[1:]


@pytest.mark.parametrize("there", KINDS)
async def test_wrong_bytes_at_the_source_leave_nothing_named(there: str, tmp_path: Path) -> None:
    wrong = blob(200_000)[0]
    source = Damaged(wrong.digest)
    root = await push_tree(source)
    with pytest.raises(DigestMismatchError) as caught:  # noqa: PT012 - an archive fails at its end
        async with destination_of(there, tmp_path) as (destination, readable):
            try:
                await copy_graph(source, destination, root.descriptor, names=["v1"])
            finally:
                for store in readable:
                    with pytest.raises(NotFoundError):
                        await store.resolve("v1")
                    assert not await destination.exists(wrong)
                    assert not await destination.exists(root.descriptor)
    assert "this happened at the source" in caught.value.__notes__
    assert not (tmp_path / "destination.tar").exists()


async def test_what_the_source_lacks_leaves_nothing_named() -> None:
    source, destination = MemoryStore(), Recording()
    root = await push_tree(source)
    await source.delete(blob(300)[0])
    with pytest.raises(NotFoundError) as caught:
        await copy_graph(source, destination, root.descriptor, names=["v1"])
    assert caught.value.__notes__ == ["this happened at the source"]
    assert destination.tagged == []
    assert not any(descriptor.is_document for descriptor in destination.pushed)


class Full(Recording):
    """A store without space for blobs above a size."""

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        if descriptor.size > 1000:
            raise StorageError("no space left")
        await super().push(descriptor, source)


async def test_an_error_of_the_destination_says_so() -> None:
    source, destination = MemoryStore(), Full()
    root = await push_tree(source)
    with pytest.raises(StorageError) as caught:
        await copy_graph(source, destination, root.descriptor)
    assert caught.value.__notes__ == ["this happened at the destination"]


async def test_a_disk_that_refuses_a_download_is_the_destination_s(tmp_path: Path) -> None:
    async with watched() as server, opened(server.host) as repository:
        root = await push_image(repository, 9 << 20)
        layout = await Layout.open(tmp_path, create=True)
        (tmp_path / "blobs" / "sha256").rmdir()
        (tmp_path / "blobs" / "sha256").write_bytes(b"in the way")
        with pytest.raises(StorageError) as caught:
            await copy_graph(repository, layout, root.descriptor, concurrency=1)
    assert caught.value.__notes__ == ["this happened at the destination"]


async def test_a_registry_that_breaks_as_source_or_destination_is_named() -> None:
    async with watched() as server, opened(server.host) as repository:
        memory = MemoryStore()
        await push_image(repository, 5000)
        root = await push_image(memory, 5000, 6000)
        await copy_graph(memory, repository, root.descriptor)
        server.faults.drop_blob_at = 10
        with pytest.raises(TransportError) as caught:
            await copy_graph(repository, MemoryStore(), root.descriptor, concurrency=1)
        assert caught.value.__notes__ == ["this happened at the source"]
        server.faults.drop_blob_at, server.faults.drop_upload_at = None, 10
        server.faults.when = lambda method, _path: method == "PUT"
        other = await push_image(memory, 7000)
        with pytest.raises(TransportError) as caught:
            await copy_graph(memory, repository, other.descriptor)
        assert caught.value.__notes__ == ["this happened at the destination"]
        assert server.open_uploads() == 0


async def test_several_failures_are_one_error() -> None:
    both = anyio.Event()
    failing = iter(("first", "second"))

    class Failing(MemoryStore):
        async def push(self, descriptor: Descriptor, source: Source) -> None:  # noqa: ARG002
            text = next(failing)
            if text == "second":
                both.set()
            with anyio.CancelScope(shield=True):
                await both.wait()
            raise StorageError(text)

    source = MemoryStore()
    root = await push_image(source)
    root = await push_image(source, 10)
    with pytest.raises(StorageError, match="first") as caught:
        await copy_graph(source, Failing(), root.descriptor, concurrency=2)
    assert "and second" in caught.value.__notes__


async def test_a_bug_is_not_hidden_among_errors() -> None:
    class Buggy(MemoryStore):
        async def push(self, descriptor: Descriptor, source: Source) -> None:  # noqa: ARG002
            raise ZeroDivisionError

    source = MemoryStore()
    root = await push_image(source)
    with pytest.raises(ZeroDivisionError):
        await copy_graph(source, Buggy(), root.descriptor, concurrency=1)


async def test_a_callback_that_raises_ends_it() -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, Progressed):
            raise OCIError("enough")

    source, destination = MemoryStore(), Recording()
    root = await push_tree(source)
    with pytest.raises(OCIError, match="enough"):
        await copy_graph(
            source, destination, root.descriptor, names=["v1"], on_event=on_event, concurrency=1
        )
    assert destination.tagged == []


BLOBS = {EMPTY.plain(), *(blob(size)[0].plain() for size in (100, 200_000, 300, 400))}


# --- cancellation --------------------------------------------------------------------------------


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize(
    "stops_at",
    [
        lambda event: isinstance(event, Planned),
        lambda event: isinstance(event, Started) and event.total == 200_000,
        lambda event: isinstance(event, Progressed) and event.total == 200_000,
        lambda event: isinstance(event, Started) and event.descriptor not in BLOBS,
    ],
    ids=["planned", "before a blob", "in a blob", "before a document"],
)
async def test_cancelled_at_any_point_it_leaves_nothing_named(
    there: str, stops_at: Callable[[Event], bool], tmp_path: Path
) -> None:
    source = MemoryStore()
    root = await push_tree(source)
    reached = False
    with anyio.CancelScope() as scope:
        async with destination_of(there, tmp_path) as (destination, readable):

            def on_event(event: Event) -> None:
                nonlocal reached
                if stops_at(event):
                    reached = True
                    scope.cancel()

            try:
                await copy_graph(
                    source, destination, root.descriptor, names=["v1"], on_event=on_event
                )
            finally:
                with anyio.CancelScope(shield=True):
                    for store in readable:
                        with pytest.raises(NotFoundError):
                            await store.resolve("v1")
                        assert not await destination.exists(root.descriptor)
    assert reached
    assert scope.cancelled_caught
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(".tmp")]
    assert not left
    assert not (tmp_path / "destination.tar").exists()


class Removing(MemoryStore):
    """A store that does something else before it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], Awaitable[None]]] = []

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        while self.before and not descriptor.is_document:
            await self.before.pop()()
        async with super().fetch(descriptor) as reader:
            yield reader


@pytest.mark.parametrize("deep", [True, False])
async def test_a_blob_that_the_destination_had_is_copied_when_it_is_gone(
    embedded: EmbeddedRegistry, deep: bool
) -> None:
    source = Removing()
    root = await push_image(source, 1000)
    (large,) = root.layers
    async with opened(embedded.host) as repository, opened(embedded.host) as other:
        async with source.fetch(large) as reader:
            await repository.push(large, BytesSource(await reader.read_all()))
        source.before.append(lambda: other.delete(large))
        report = await copy_graph(
            source, repository, root.descriptor, names=["v1"], deep=deep, concurrency=1
        )
        assert not source.before
        assert large in report.copied
        assert await contents(repository, root.descriptor) == await contents(
            source, root.descriptor
        )


@pytest.mark.parametrize("time", range(1, 5))
async def test_a_document_that_the_destination_had_is_copied_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: int
) -> None:
    source = MemoryStore()
    root = await push_tree(source)
    layout = await Layout.open(tmp_path / "layout", create=True)
    await copy_graph(source, layout, root.descriptor)
    file = tmp_path / "layout/blobs/sha256" / root.digest.encoded
    with monkeypatch.context() as patch:
        # It is looked for before anything is copied, and again before it gets its name.
        just_before(patch, "stat", lambda p: p == str(file), file.unlink, time=time)
        await copy_graph(source, layout, root.descriptor, names=["v1"])
    assert await contents(layout, root.descriptor) == await contents(source, root.descriptor)
    assert await layout.resolve("v1") == root.descriptor


async def test_a_copy_that_was_cancelled_is_finished_by_the_next(tmp_path: Path) -> None:
    source = MemoryStore()
    root = await push_tree(source)
    layout = await Layout.open(tmp_path / "layout", create=True)
    with anyio.CancelScope() as scope:

        def on_event(event: Event) -> None:
            if isinstance(event, Finished):
                scope.cancel()

        await copy_graph(source, layout, root.descriptor, on_event=on_event, concurrency=1)
    report = await copy_graph(source, layout, root.descriptor, names=["v1"])
    assert report.skipped
    assert await contents(layout, root.descriptor) == await contents(source, root.descriptor)


# --- events --------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", KINDS)
async def test_progress_adds_up_to_what_was_planned(there: str, tmp_path: Path) -> None:
    source = MemoryStore()
    root = await push_tree(source)
    events: list[Event] = []
    async with destination_of(there, tmp_path) as (destination, _):
        shared, data = blob(100)
        await destination.push(shared, BytesSource(data))
        report = await copy_graph(
            source, destination, root.descriptor, names=["v1"], on_event=events.append
        )
    (planned,) = [event for event in events if isinstance(event, Planned)]
    finished = {_digest(e): e.done for e in events if isinstance(e, Finished)}
    skipped = {_digest(e): _size(e) for e in events if isinstance(e, Skipped)}
    assert sum(finished.values()) == report.bytes_copied
    assert sum(finished.values()) + sum(skipped.values()) == planned.total
    assert set(finished) == {d.digest for d in report.copied}
    assert set(skipped) == {shared.digest}
    assert len(finished) == sum(isinstance(event, Started) for event in events)
    for digest, size in finished.items():
        done = [e.done for e in events if isinstance(e, Progressed) and _digest(e) == digest]
        assert done == sorted(done)
        assert not done or done[-1] == size
        started = [e.total for e in events if isinstance(e, Started) and _digest(e) == digest]
        assert started == [size]


def _digest(event: Event) -> Digest:
    assert event.descriptor is not None
    return event.descriptor.digest


def _size(event: Event) -> int:
    assert event.descriptor is not None
    return event.descriptor.size


async def test_progress_falls_back_when_a_push_starts_again() -> None:
    source = MemoryStore()
    root = await push_image(source, 300_000)
    done: list[int] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Progressed):
            done.append(event.done)

    async with watched() as server, opened(server.host) as repository:
        server.faults.drop_upload_at, server.faults.times = 100_000, 1
        server.faults.when = lambda method, _path: method == "PUT"
        await copy_graph(source, repository, root.descriptor, on_event=on_event, concurrency=1)
    assert done.count(300_000) == 2
    assert done[-1] <= 300_000


# --- other tools ---------------------------------------------------------------------------------


@pytest.mark.interop
@pytest.mark.parametrize("there", ["layout", "archive", "registry"])
async def test_skopeo_reads_what_was_copied(
    there: str, registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    source = MemoryStore()
    image = await _push_runnable(source)
    if there == "registry":
        async with opened(registry.host, repository_name) as repository:
            await copy_graph(source, repository, image.descriptor, names=["v1"])
            target = f"docker://{registry.host}/{repository_name}:v1"
            await _inspect(target, image, tmp_path)
    elif there == "layout":
        layout = await Layout.open(tmp_path / "layout", create=True)
        await copy_graph(source, layout, image.descriptor, names=["v1"])
        await _inspect(f"oci:{tmp_path}/layout:v1", image, tmp_path)
    else:
        async with ArchiveWriter.open(tmp_path / "a.tar") as archive:
            await copy_graph(source, archive, image.descriptor, names=["v1"])
        await _inspect(f"oci-archive:{tmp_path}/a.tar:v1", image, tmp_path)


async def _inspect(target: str, image: Manifest, place: Path) -> None:
    """Let skopeo read the manifest, and all of its blobs by a copy."""
    skopeo = peers.require("skopeo")
    found = await _run(skopeo, "inspect", "--tls-verify=false", target)
    assert json.loads(found)["Digest"] == image.digest
    await _run(skopeo, "copy", "--src-tls-verify=false", target, f"dir:{place}/dir")
    assert (place / "dir" / "manifest.json").read_bytes() == image.raw


async def _run(*command: str) -> str:
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def _push_runnable(store: Store) -> Manifest:
    packed = gzip.compress(bytes(1024), mtime=0)
    layer = Descriptor.of(packed, media_types.OCI_LAYER_TAR_GZIP)
    config = encode_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(bytes(1024))]},
        }
    )
    described = Descriptor.of(config, media_types.OCI_CONFIG)
    await store.push(layer, BytesSource(packed))
    await store.push(described, BytesSource(config))
    image = Manifest.build(config=described, layers=(layer,))
    await store.push(image.descriptor, BytesSource(image.raw))
    return image


async def test_an_archive_is_not_replaced(tmp_path: Path) -> None:
    source = MemoryStore()
    root = await push_image(source, 10)
    (tmp_path / "a.tar").write_bytes(b"mine")
    with pytest.raises(AlreadyExistsError):
        async with ArchiveWriter.open(tmp_path / "a.tar") as archive:
            await copy_graph(source, archive, root.descriptor)
    assert (tmp_path / "a.tar").read_bytes() == b"mine"
