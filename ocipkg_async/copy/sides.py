"""Which side of a copy an error came from, as a note at the error."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

from ..content import ByteStream, SavingSource, Source
from ..errors import OCIError, StorageError

_NOTE = "this happened at the "


@contextmanager
def side(which: Literal["source", "destination"]) -> Iterator[None]:
    """Note at an error which side it came from, unless that is known already."""
    try:
        yield
    except OCIError as error:
        if not any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
            error.add_note(_NOTE + which)
        raise


class NotedSource:
    """Content of the source, whose errors pass through the destination that reads it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.size = source.size
        self.reopenable = source.reopenable

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open the source."""
        async with AsyncExitStack() as stack:
            with side("source"):
                stream = await stack.enter_async_context(self._source.open())
            yield _NotedStream(stream)

    async def save(self, path: Path, *, durable: bool = False) -> bool:
        """Let the source write itself to a file, where it can."""
        if not isinstance(self._source, SavingSource):
            return False
        with side("source"):
            try:
                return await self._source.save(path, durable=durable)
            except StorageError:
                with side("destination"):  # that is where the file lies
                    raise


class _NotedStream:
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, /) -> bytes:
        with side("source"):
            return await self._stream.read(max_bytes)
