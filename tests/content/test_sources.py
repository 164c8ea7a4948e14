"""Where pushed bytes come from: each kind opens, reads, fails and ends as it says."""

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.lowlevel
import pytest

from ocipkg_async.content import (
    BlobReader,
    BytesSource,
    ByteStream,
    FetchSource,
    FileSource,
    MemoryStore,
    Meter,
    ProducerSource,
    Source,
    StreamSource,
)
from ocipkg_async.errors import (
    DigestMismatchError,
    NotFoundError,
    StorageError,
    TooLongError,
    TooShortError,
    UnsupportedError,
)
from ocipkg_async.events import Event, Progressed
from ocipkg_async.spec import Descriptor, Digest

Write = Callable[[bytes], None]


async def read_all(stream: ByteStream, max_bytes: int = 3) -> bytes:
    found = b""
    while piece := await stream.read(max_bytes):
        assert len(piece) <= max_bytes
        found += piece
    return found


async def content(source: Source) -> bytes:
    async with source.open() as stream:
        return await read_all(stream)


async def test_every_reopenable_source_gives_the_same_bytes_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdefgh")
    store = MemoryStore()
    descriptor = Descriptor.of(b"abcdefgh", "a/b")
    await store.push(descriptor, BytesSource(b"abcdefgh"))

    def produce(write: Write) -> None:
        write(b"abcde")
        write(b"")
        write(b"fgh")

    sources: list[tuple[Source, int | None]] = [
        (BytesSource(b"abcdefgh"), 8),
        (FileSource(path), None),
        (await FileSource.of(path), 8),
        (FetchSource(store, descriptor), 8),
        (ProducerSource(produce), None),
        (ProducerSource(produce, size=8), 8),
    ]
    for source, size in sources:
        assert source.size == size
        assert source.reopenable
        assert [await content(source) for _ in range(3)] == [b"abcdefgh"] * 3
        async with source.open() as one, source.open() as other:  # both at their own place
            assert await one.read(3) == b"abc"
            assert await other.read(3) == b"abc"


async def test_file_source_errors(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        await FileSource.of(tmp_path / "missing")
    with pytest.raises(StorageError, match="missing"):
        await content(FileSource(tmp_path / "missing"))
    with pytest.raises(StorageError):
        await content(FileSource(tmp_path))


async def test_file_source_that_changed_fails_verification(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    source = await FileSource.of(path)
    descriptor = Descriptor.of(b"abc", "a/b")
    for changed, error in (
        (b"ab", TooShortError),
        (b"abcd", TooLongError),
        (b"abd", DigestMismatchError),
    ):
        path.write_bytes(changed)
        store = MemoryStore()
        with pytest.raises(error):
            await store.push(descriptor, source)
        assert not await store.exists(descriptor)


class SlowPath(type(Path())):  # type: ignore[misc]
    """A path on a file system that takes its time to open a file."""

    begun: threading.Event
    go_on: threading.Event
    opened: list[IO[bytes]]

    def open(self, *args: Any, **kwargs: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(60)
        file = super().open(*args, **kwargs)
        self.opened.append(file)
        return file


async def test_file_source_cancelled_while_it_opens_leaves_no_file_open(tmp_path: Path) -> None:
    path = SlowPath(tmp_path / "file")
    path.begun, path.go_on, path.opened = threading.Event(), threading.Event(), []
    path.touch()

    async def use() -> None:
        async with FileSource(path).open():
            pytest.fail("it was cancelled while it opened")

    task = asyncio.create_task(use())
    assert await anyio.to_thread.run_sync(path.begun.wait, 60)
    task.cancel()
    await anyio.sleep(0.01)
    path.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    (file,) = path.opened
    assert file.closed


async def test_fetch_source_counts_from_the_start_each_time() -> None:
    store = MemoryStore()
    descriptor = Descriptor.of(b"abcdef", "a/b")
    await store.push(descriptor, BytesSource(b"abcdef"))
    seen: list[int] = []

    def note(event: Event) -> None:
        assert isinstance(event, Progressed)
        seen.append(event.done)

    source = FetchSource(store, descriptor, meter=Meter(note, descriptor=descriptor))
    async with source.open() as stream:
        await stream.read(2)
    assert await content(source) == b"abcdef"
    assert seen == [2, 0, 3, 6]


async def test_fetch_source_is_verified() -> None:
    class Lying:
        @contextlib.asynccontextmanager
        async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
            async with BytesSource(b"wrong!").open() as stream:
                yield BlobReader(stream, descriptor)

    with pytest.raises(DigestMismatchError):
        await content(FetchSource(Lying(), Descriptor.of(b"abcdef", "a/b")))
    with pytest.raises(NotFoundError):
        await content(FetchSource(MemoryStore(), Descriptor.of(b"abcdef", "a/b")))


class Producer:
    """A producer whose end can be waited for."""

    def __init__(self, pieces: int, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.written = 0
        self.ends = 0
        self.threads: set[threading.Thread] = set()

    def __call__(self, write: Write) -> None:
        self.threads.add(threading.current_thread())
        try:
            for number in range(self.pieces):
                write(b"%d," % number)
                self.written += 1
            if self.error is not None:
                raise self.error
        finally:
            self.ends += 1


async def test_producer_runs_in_a_worker_thread_with_all_pieces_in_order() -> None:
    producer = Producer(500)
    assert await content(ProducerSource(producer)) == b"".join(b"%d," % n for n in range(500))
    assert threading.current_thread() not in producer.threads


async def test_producer_error_is_raised_by_read_after_what_was_written() -> None:
    error = RuntimeError("the disk is gone")
    source = ProducerSource(Producer(2, error))
    async with source.open() as stream:
        assert await stream.read(100) == b"0,"
        assert await stream.read(100) == b"1,"
        for _ in range(2):
            with pytest.raises(RuntimeError) as caught:
                await stream.read(100)
            assert caught.value is error


async def test_producer_error_makes_a_push_fail_with_it_and_not_as_too_short() -> None:
    store = MemoryStore()
    descriptor = Descriptor.of(b"0,1,2,", "a/b")
    with pytest.raises(NotFoundError, match="gone"):
        await store.push(descriptor, ProducerSource(Producer(2, NotFoundError("gone"))))
    assert not await store.exists(descriptor)


async def test_producer_ends_when_the_reader_leaves_early() -> None:
    producer = Producer(100_000)
    async with ProducerSource(producer).open() as stream:
        await stream.read(1)
    assert producer.ends == 1
    assert producer.written < 100
    async with ProducerSource(producer).open():
        pass  # not read at all
    assert producer.ends == 2


async def test_producer_ends_when_the_reader_fails() -> None:
    """What the reader raised comes out, not a group and not the producer's broken pipe."""
    producer = Producer(100_000)
    with pytest.raises(NotFoundError, match="mine"):  # noqa: PT012 - the block fails
        async with ProducerSource(producer).open() as stream:
            await stream.read(1)
            raise NotFoundError("mine")
    assert producer.ends == 1


@pytest.mark.parametrize("how", ["task", "scope"])
async def test_producer_ends_when_cancelled(how: str) -> None:
    producer = Producer(100_000)
    reading = anyio.Event()

    async def use() -> None:
        async with ProducerSource(producer).open() as stream:
            await stream.read(1)
            reading.set()
            await anyio.sleep_forever()

    if how == "task":
        task = asyncio.create_task(use())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(use)
            await reading.wait()
            group.cancel_scope.cancel()
    assert producer.ends == 1
    assert producer.written < 100


async def test_producer_does_not_run_ahead() -> None:
    producer = Producer(100_000)
    async with ProducerSource(producer).open() as stream:
        for number in range(50):
            await stream.read(100)
            await anyio.lowlevel.checkpoint()
            assert producer.written <= number + 10


async def test_producer_may_swallow_the_broken_write() -> None:
    """As an archive writer does that closes itself by writing a trailer."""
    ended = []

    def produce(write: Write) -> None:
        try:
            for _ in range(1000):
                write(b"x" * 10)
        finally:
            try:
                write(b"trailer")
            except Exception:  # noqa: BLE001 - that is the point
                ended.append(True)

    async with ProducerSource(produce).open() as stream:
        await stream.read(1)
    assert ended == [True]


async def test_stream_source_can_be_opened_once() -> None:
    source = StreamSource(io.BytesIO(b"abcdef").read, size=6)
    assert not source.reopenable
    assert source.size == 6
    assert await content(source) == b"abcdef"
    with pytest.raises(UnsupportedError) as caught:
        await content(source)
    assert caught.value.hint


async def test_stream_source_maps_errors() -> None:
    def read(_max_bytes: int) -> bytes:
        raise OSError("gone")

    with pytest.raises(StorageError, match="gone"):
        await content(StreamSource(read))


async def test_sources_are_sources() -> None:
    one: Source = StreamSource(io.BytesIO().read)
    assert isinstance(one, Source)
    assert not isinstance(Digest.of(b""), Source)
