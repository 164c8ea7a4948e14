"""Where pushed bytes come from: memory, a file, another store, or a function that writes them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

import anyio
from anyio import from_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from ..errors import UnsupportedError, single_error, storage_errors
from ..spec import Descriptor
from .meter import Meter
from .reader import BytesStream, ByteStream, FileStream
from .store import Downloader, Fetcher, Source
from .threads import run_in_thread

_SKIP_BYTES = 1 << 20


@runtime_checkable
class SeekableSource(Protocol):
    """A source that can be opened in its middle without reading what is before."""

    def open_at(self, offset: int) -> AbstractAsyncContextManager[ByteStream]:
        """Open a stream at byte `offset`; past the end it is empty."""
        ...


@asynccontextmanager
async def open_at(source: Source, offset: int) -> AsyncIterator[ByteStream]:
    """Open any source at byte `offset`: at once where it can seek, else by reading up to there."""
    if offset and isinstance(source, SeekableSource):
        async with source.open_at(offset) as stream:
            yield stream
        return
    async with source.open() as stream:
        left = offset
        while left and (data := await stream.read(min(left, _SKIP_BYTES))):
            left -= len(data)
        yield stream


class BytesSource:
    """Bytes in memory."""

    reopenable = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size: int | None = len(data)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open a stream at the first byte."""
        yield BytesStream(self._data)

    @asynccontextmanager
    async def open_at(self, offset: int) -> AsyncIterator[ByteStream]:
        """Open a stream at byte `offset`."""
        yield BytesStream(memoryview(self._data)[offset:])


class FileSource:
    """A file. Its size is taken when it is opened; a file that changes fails verification."""

    reopenable = True

    def __init__(self, path: Path, *, size: int | None = None) -> None:
        self._path = path
        self.size = size

    @classmethod
    async def of(cls, path: Path) -> "FileSource":
        """Return a source that knows the file's size.

        Raises:
            StorageError: the file cannot be examined.
        """
        with storage_errors(f"read {path}"):
            return cls(path, size=(await run_in_thread(path.stat)).st_size)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open a stream at the first byte.

        Raises:
            StorageError: the file cannot be opened or read.
        """
        async with self.open_at(0) as stream:
            yield stream

    @asynccontextmanager
    async def open_at(self, offset: int) -> AsyncIterator[ByteStream]:
        """Open a stream at byte `offset`.

        Raises:
            StorageError: the file cannot be opened or read.
        """
        with ExitStack() as stack:

            def opened() -> IO[bytes]:
                file = stack.enter_context(self._path.open("rb", buffering=0))
                if offset:  # what is read in one go, such as a pipe, need not be able to seek
                    file.seek(offset)
                return file

            with storage_errors(f"read {self._path}"):
                file = await run_in_thread(opened)
            yield _MappedStream(file.read, f"read {self._path}")


class _MappedStream:
    def __init__(self, read: Callable[[int], bytes], action: str) -> None:
        self._stream = FileStream(read)
        self._action = action

    async def read(self, max_bytes: int, /) -> bytes:
        with storage_errors(self._action):
            return await self._stream.read(max_bytes)


class FetchSource:
    """Content of another store, verified while it is read."""

    reopenable = True

    def __init__(
        self,
        fetcher: Fetcher,
        descriptor: Descriptor,
        *,
        meter: Meter | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._descriptor = descriptor
        self._meter = meter or Meter()
        self.size: int | None = descriptor.size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open the content once more; progress starts again."""
        self._meter.stand(0)
        async with self._fetcher.fetch(self._descriptor) as reader:
            reader.meter = self._meter
            yield reader

    async def save(self, path: Path, *, durable: bool = False) -> bool:
        """Write the content to a file, verified; see `Downloader`.

        Returns:
            False, and nothing was done, where it is to be streamed.
        """
        if not isinstance(self._fetcher, Downloader):
            return False
        return await self._fetcher.download(
            self._descriptor, path, meter=self._meter, durable=durable
        )


class ProducerSource:
    """Bytes that a blocking function writes, piece by piece, in a worker thread.

    The function gets a ``write`` and is called anew for each `open`, so it must write the same
    bytes each time. At most `_AHEAD` pieces wait between it and the reader, so memory is bounded
    by the size of its pieces. What the function raises is raised by the stream's ``read``.
    """

    reopenable = True

    def __init__(
        self, produce: Callable[[Callable[[bytes], None]], object], *, size: int | None = None
    ) -> None:
        self._produce = produce
        self.size = size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Start the function and open a stream on what it writes."""
        send, receive = anyio.create_memory_object_stream[bytes](_AHEAD)
        stream = _ReceivedStream(receive)

        def run() -> None:
            self._produce(lambda data: from_thread.run(send.send, data))

        async def produce() -> None:
            async with send:
                try:
                    await run_in_thread(run)
                except anyio.BrokenResourceError:
                    pass  # the reader went away first; it has its own reason
                except Exception as error:  # noqa: BLE001 - raised again by the stream's read
                    stream.error = error

        with single_error():
            async with anyio.create_task_group() as group:
                group.start_soon(produce)
                async with receive:
                    yield stream


_AHEAD = 4


class _ReceivedStream:
    def __init__(self, receive: MemoryObjectReceiveStream[bytes]) -> None:
        self.error: Exception | None = None
        self._receive = receive
        self._rest: bytes | memoryview = b""

    async def read(self, max_bytes: int, /) -> bytes:
        while not self._rest:
            try:
                self._rest = await self._receive.receive()
            except anyio.EndOfStream:
                if self.error is not None:
                    raise self.error from None
                return b""
        if isinstance(self._rest, bytes) and len(self._rest) <= max_bytes:
            piece, self._rest = self._rest, b""  # the usual case, on the event loop: no copy
            return piece
        view = memoryview(self._rest)
        piece, self._rest = bytes(view[:max_bytes]), view[max_bytes:]
        return piece


class StreamSource:
    """A stream that can be read once, such as standard input. A push of it cannot be repeated."""

    reopenable = False

    def __init__(self, read: Callable[[int], bytes], *, size: int | None = None) -> None:
        self._read = read
        self.size = size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open the stream.

        Raises:
            UnsupportedError: it was opened before.
        """
        if self._read is None:
            raise UnsupportedError(
                "this stream was read already and cannot be sent again",
                hint="write it to a file and push the file",
            )
        read, self._read = self._read, None  # type: ignore[assignment]
        yield _MappedStream(read, "read the stream")
