"""What uploads are tested with: sources without a length, and usual answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ocipkg_async.content import ByteStream
from ocipkg_async.spec import media_types
from registry.driving import said

BLOB = media_types.OCTET_STREAM
OPENED = said(202, Location="/v2/u/1?s=0")
STORED = said(201)


class Unsized:
    """A source that does not know its length, in odd pieces."""

    size = None

    def __init__(self, data: bytes, *, reopenable: bool = True) -> None:
        self._data = data
        self.reopenable = reopenable
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        self.opened += 1
        yield _Pieces(self._data, 7_777)


class _Pieces:
    def __init__(self, data: bytes, piece_bytes: int) -> None:
        self._rest = data
        self._piece_bytes = piece_bytes

    async def read(self, max_bytes: int, /) -> bytes:
        length = min(max_bytes, self._piece_bytes)
        piece, self._rest = self._rest[:length], self._rest[length:]
        return piece
