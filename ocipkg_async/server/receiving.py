"""The body of an upload, from the connection to the session's file.

Pieces are gathered, and each gathering is written and hashed in one hop to a worker thread while
the next is being received. Memory is bounded by `GATHER_BYTES` times three.
"""

import contextlib
from collections.abc import Sequence
from io import FileIO

import anyio
from aiohttp import StreamReader
from anyio.streams.memory import MemoryObjectReceiveStream

from ..content import finish_in_thread, run_in_thread
from ..content.files import write_all
from ..content.reader import READ_BYTES
from ..content.sources import FileSource
from ..errors import single_error, storage_errors
from ..spec import Digest, Digester
from .connections import Incoming, Limits
from .failures import RefusedError, upload_unknown
from .sessions import UploadSession

GATHER_BYTES = 1 << 20
"""Half a millisecond of hashing, beside which a hop to a thread is little; twice as much was no faster."""


class _Body:
    """The body of an upload; remembers how it ended."""

    def __init__(self, incoming: Incoming, length: int | None) -> None:
        self._incoming = incoming
        self._length = length
        self.ended = False
        self.refused: RefusedError | None = None

    async def gather(self) -> list[bytes]:
        """Return the next pieces, together about `GATHER_BYTES`."""
        pieces: list[bytes] = []
        size = 0
        while size < GATHER_BYTES and not self.ended:
            piece = await self._next()
            if piece:
                pieces.append(piece)
                size += len(piece)
        return pieces

    async def _next(self) -> bytes:
        left = None if self._length is None else self._length - self._incoming.received
        try:
            piece = await self._incoming.piece()
        except RefusedError as refused:
            self._end(refused)
            return b""
        if not piece:
            short = left is not None and left > 0
            self._end(self._wrong_size() if short else None)
        elif left is not None and len(piece) > left:
            self._end(self._wrong_size())
            return piece[:left]
        return piece

    def _wrong_size(self) -> RefusedError:
        return RefusedError(
            400, "SIZE_INVALID", f"the body does not have the announced {self._length} bytes"
        )

    def _end(self, refused: RefusedError | None) -> None:
        self.ended = True
        self.refused = refused


async def receive(
    content: StreamReader, session: UploadSession, *, length: int | None, limits: Limits
) -> None:
    """Add a body to an upload, whose lock the caller holds.

    What arrived is kept, even when the body breaks off: the upload can be resumed from there.

    Args:
        content: the body.
        session: the upload.
        length: how long the body has to be, or None.
        limits: how fast it has to come.

    Raises:
        RefusedError: 400, the body broke off or has another length; 404, what came before is gone;
            408, it came too slowly.
        StorageError: the file cannot be written.
    """
    body = _Body(Incoming(content, limits, code="BLOB_UPLOAD_INVALID"), length)
    first = await body.gather()
    if body.ended:
        if first:
            await run_in_thread(_append, session, first)
    else:
        await _receive_more(body, first, session)
    if body.refused is not None:
        raise body.refused


async def _receive_more(body: _Body, pieces: list[bytes], session: UploadSession) -> None:
    send, queue = anyio.create_memory_object_stream[list[bytes]](1)
    with single_error():
        async with anyio.create_task_group() as group:
            group.start_soon(_append_all, queue, session)
            # A writer that failed reads no more; the group then raises what it failed of.
            with contextlib.suppress(anyio.BrokenResourceError):
                async with send:
                    while pieces:
                        await send.send(pieces)
                        pieces = await body.gather()


async def _append_all(
    queue: MemoryObjectReceiveStream[list[bytes]], session: UploadSession
) -> None:
    async with queue:
        async for pieces in queue:
            await run_in_thread(_append, session, pieces)


def _append(session: UploadSession, pieces: Sequence[bytes]) -> None:
    """Write and hash, piece by piece, so that file and digest agree after a full disk, too."""
    with storage_errors("store an upload"), _opened(session) as file:
        file.seek(session.offset)
        for piece in pieces:
            write_all(file, piece)
            session.digester.update(piece)


async def verify(session: UploadSession, digest: Digest) -> None:
    """Check that an upload has `digest`; its file then has exactly its bytes.

    Raises:
        RefusedError: 400, it has another digest; 404, its file is gone.
        StorageError: the file cannot be read or cut.
    """
    await run_in_thread(_cut, session)
    if digest.algorithm == session.digester.algorithm:
        actual = session.digester.digest()
    else:
        # Hashed with another algorithm than the one named at the end: once more (C-16).
        actual = await _hash_again(session, digest.algorithm)
    if actual != digest:
        raise RefusedError(
            400, "DIGEST_INVALID", f"the upload has the digest {actual}, not {digest}"
        )


async def _hash_again(session: UploadSession, algorithm: str) -> Digest:
    digester = Digester(algorithm)
    async with FileSource(session.file).open() as stream:
        while data := await stream.read(READ_BYTES):
            await run_in_thread(digester.update, data)
    return digester.digest()


def _cut(session: UploadSession) -> None:
    """Cut what a failed write left behind the last good byte; make the file of an empty blob."""
    with storage_errors("store an upload"), _opened(session) as file:
        file.truncate(session.offset)


def _opened(session: UploadSession) -> FileIO:
    # It goes with the rest where somebody empties the registry's folder.
    if session.offset:
        try:
            return session.file.open("r+b", buffering=0)
        except FileNotFoundError as error:
            raise upload_unknown(session.id) from error
    session.file.parent.mkdir(exist_ok=True)
    return session.file.open("wb", buffering=0)


async def discard(*sessions: UploadSession) -> None:
    """Remove the files of closed uploads."""

    def remove() -> None:
        with storage_errors("remove an upload"):
            for session in sessions:
                session.file.unlink(missing_ok=True)

    if sessions:
        await finish_in_thread(remove)
