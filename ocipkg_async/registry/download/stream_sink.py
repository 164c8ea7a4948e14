"""Hands parts on in order while they are fetched, from memory: for readers that keep no file."""

from collections.abc import Callable, Sequence

import anyio

from ...errors import OCIError


class StreamSink:
    """The sink of a download that is read as a stream, and the stream.

    Args:
        window_bytes: returns how far fetching may run ahead of the reader now.

    Attributes:
        position: how much was read.
        begun: set when the first bytes are there, or will never be.
        on_read: called when the reader went on, so that there is room again.
    """

    def __init__(self, *, window_bytes: Callable[[], int]) -> None:
        self.position = 0
        self.begun = anyio.Event()
        self.on_read: Callable[[], None] = lambda: None
        self._window_bytes = window_bytes
        self._pieces: dict[int, bytes] = {}
        self._arrived = anyio.Event()
        self._read = anyio.Event()
        self._ended = False
        self._error: OCIError | None = None

    @property
    def below(self) -> int | None:
        """Where the last part may begin now."""
        return self.position + self._window_bytes()

    async def put(self, offset: int, pieces: Sequence[bytes]) -> None:
        """Keep bytes until they are read; those that were read already are dropped."""
        for piece in pieces:
            stop = offset + len(piece)
            if stop > self.position:
                start = max(offset, self.position)
                self._pieces[start] = piece[start - offset :]
            offset = stop
        self._tell_reader()

    async def room(self, offset: int) -> None:
        """Wait until the reader is near enough."""
        while offset >= self.position + self._window_bytes():
            self._read = anyio.Event()
            await self._read.wait()

    def drop(self) -> None:
        """Forget what was not read yet: it is fetched in another way."""
        self._pieces.clear()

    def end(self, error: OCIError | None = None) -> None:
        """Say that no more comes: the blob is complete, or an error ended it."""
        self._ended, self._error = True, error
        self._tell_reader()

    def check(self) -> None:
        """Raise what ended the download, if something did before the first byte."""
        if self._error is not None and not self._pieces:
            raise self._error

    async def read(self, max_bytes: int, /) -> bytes:
        """Return the next bytes, or ``b""`` at the end.

        Raises:
            OCIError: what ended the download.
        """
        while (piece := self._pieces.pop(self.position, None)) is None:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._arrived = anyio.Event()
            await self._arrived.wait()
        if len(piece) > max_bytes:
            self._pieces[self.position + max_bytes] = piece[max_bytes:]
            piece = piece[:max_bytes]
        self.position += len(piece)
        self._read.set()
        self.on_read()
        return piece

    def _tell_reader(self) -> None:
        self.begun.set()
        self._arrived.set()
