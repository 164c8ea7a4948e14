"""A streamed body as aiohttp writes it, and the end of its connection."""

import asyncio

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import AsyncIterablePayload

from .body import BodyPieces


class SentBody(AsyncIterablePayload):
    """A streamed body that knows its connection.

    asyncio closes a connection only when all that was written is sent, so that one whose peer
    takes nothing more would stay open for ever: what is left is to be dropped.

    Attributes:
        length: of the body in bytes, or None.
    """

    def __init__(self, pieces: BodyPieces) -> None:
        super().__init__(pieces)  # type: ignore[arg-type] # memoryviews, which the writer takes as well
        self.length = pieces.size
        self._transport: asyncio.Transport | None = None
        self._ended = False

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write all of it; called by aiohttp."""
        self._transport = getattr(writer, "transport", None)
        await super().write_with_length(writer, content_length)
        self._ended = True

    def leave(self) -> None:
        """Drop what is left to be sent; an answer that came before its end ends it."""
        if not self._ended:
            self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()
