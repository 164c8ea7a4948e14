"""A blob, from its file to the connection: whole or in part.

Large files go by sendfile: the kernel moves them from the disk or its cache to the socket.
"""

import asyncio  # the type of aiohttp's transports
import contextlib
import errno
import os
import select
from pathlib import Path
from typing import IO, NamedTuple

import anyio
from aiohttp import web

from ..content import run_in_thread
from ..errors import storage_errors
from ..layout import Layout
from ..layout.blob_folder import renew
from ..spec import Descriptor, Digest, media_types
from .connections import UNSENT_BYTES, limit_unsent
from .failures import RefusedError, blob_unknown
from .ranges import ByteRange, requested_range

SMALL_BYTES = 64 << 10
"""Up to this size a blob is read in the hop that opens it, and leaves in one write with its headers."""
STEP_BYTES = 16 << 20
"""How much goes by sendfile in one hop to a worker thread."""
STAY_MS = 10
"""How long a worker thread waits for the socket: a fast client takes what is there in less."""
PIECE_BYTES = 1 << 20
"""How much is read at once where there is no sendfile."""
WRITE_BYTES = 128 << 10
"""How much of it is written at once: under TLS, only what waits to be encrypted is seen to go on."""

_NO_SENDFILE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class _Opened(NamedTuple):
    file: IO[bytes]
    size: int
    small: bytes | None


def _open(
    layout: Layout, digest: Digest, root: Path, *, found: bool, stack: contextlib.ExitStack
) -> _Opened:
    path = layout.local_path(Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=0))
    if path is None:
        raise blob_unknown(digest)
    with storage_errors("read a blob"):
        try:
            file = stack.enter_context(path.open("rb", buffering=0))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise blob_unknown(digest) from error  # deleted just now
        # The layout may be somebody else's, with links to files that are not to be shown.
        if not _place(file, path).is_relative_to(root):
            raise blob_unknown(digest)
        # Whoever asks for it will not send it, and lists it soon.
        if found and not renew(path):
            raise blob_unknown(digest)
        size = file.seek(0, 2)
        small = None
        if size <= SMALL_BYTES:
            file.seek(0)
            small = file.read(size)
        return _Opened(file, size, small)


async def is_shown(layout: Layout, digest: Digest, *, root: Path) -> bool:
    """Whether a blob is there and would be sent, as `send_blob` says it; its time is renewed."""
    with contextlib.ExitStack() as stack:
        try:
            await run_in_thread(lambda: _open(layout, digest, root, found=True, stack=stack))
        except RefusedError:
            return False
        return True


async def part_of_blob(layout: Layout, digest: Digest, part: ByteRange, *, root: Path) -> bytes:
    """Return some bytes of a blob; an injected fault works on them in memory.

    Raises:
        RefusedError, StorageError: as `send_blob`.
    """

    def read() -> bytes:
        with contextlib.ExitStack() as stack, storage_errors("read a blob"):
            file = _open(layout, digest, root, found=False, stack=stack).file
            file.seek(part.start)
            return file.read(part.length)

    return await run_in_thread(read)


def _place(file: IO[bytes], path: Path) -> Path:
    """Return where an opened file is, links followed."""
    try:
        # One call of the system. To resolve the path takes one for each of its parts, and 50 us of
        # the 380 that a small blob takes.
        return Path(f"/proc/self/fd/{file.fileno()}").readlink()
    except OSError:
        return path.resolve()


async def send_blob(
    request: web.BaseRequest, layout: Layout, digest: Digest, *, root: Path, stall_s: float
) -> web.StreamResponse:
    """Answer a GET or HEAD of a blob, with ``Range`` (C-13).

    Args:
        request: the request.
        layout: where the blob is.
        digest: its digest.
        root: a resolved folder; what lies outside is not shown, whatever links lead there (S-04).
        stall_s: how long the client may take no byte.

    Raises:
        ConnectionError: the client has gone, or takes nothing.
        RefusedError: 404, it is not there; 416, nothing of it is in the range.
        StorageError: the file cannot be read.
    """
    found = request.method == "HEAD"
    with contextlib.ExitStack() as stack:
        opened = await run_in_thread(lambda: _open(layout, digest, root, found=found, stack=stack))
        part = requested_range(request.headers.get("Range"), opened.size)
        whole = ByteRange(0, opened.size)
        headers = blob_headers(digest, part, opened.size)
        status = 200 if part is None else 206
        part = part or whole
        if opened.small is not None and request.method != "HEAD":
            return web.Response(
                status=status, headers=headers, body=opened.small[part.start : part.stop]
            )
        response = web.StreamResponse(status=status, headers=headers)
        # By hand: aiohttp leaves it out of the answer to a HEAD of nothing (C-20).
        response.content_length = part.length
        await response.prepare(request)
        if request.method != "HEAD":
            await _send_file(request, response, opened.file, part, stall_s)
        await response.write_eof()
        return response


def blob_headers(digest: Digest, part: ByteRange | None, size: int) -> dict[str, str]:
    """Return the headers of a blob's answer, without its length."""
    headers = {
        "Content-Type": media_types.OCTET_STREAM,
        "Docker-Content-Digest": digest,
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest}"',
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return headers


async def _send_file(
    request: web.BaseRequest,
    response: web.StreamResponse,
    file: IO[bytes],
    part: ByteRange,
    stall_s: float,
) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    # What leaves under TLS is encrypted here, not in the kernel.
    if hasattr(os, "sendfile") and transport.get_extra_info("sslcontext") is None:
        await _flush(request, transport)
        part = await _send_on(transport, file, part, stall_s)
    if part.length:
        await _copy_file(response, file, part)


async def _flush(request: web.BaseRequest, transport: asyncio.Transport) -> None:
    """Wait until the transport has sent what it holds, such as the headers.

    A client that takes nothing is noticed by its `Connection`.
    """
    transport.set_write_buffer_limits(high=0)
    try:
        await request.writer.drain()
    finally:
        transport.set_write_buffer_limits()


async def _send_on(
    transport: asyncio.Transport, file: IO[bytes], part: ByteRange, stall_s: float
) -> ByteRange:
    """Send by sendfile; return what is left where the file's system has none.

    The event loop's own method does not show whether it goes on, waits for the disk, and when it is
    cancelled may still move in a file that has got the number of the closed one.

    Raises:
        ConnectionError: the client has gone, or takes nothing.
    """
    if transport.is_closing():
        raise ConnectionResetError("the client has gone")
    # The event loop lets nobody else wait for its own descriptor of the socket.
    socket = os.dup(transport.get_extra_info("socket").fileno())
    was_reading = transport.is_reading()
    transport.pause_reading()
    limit_unsent(transport, 0)  # each step is seen here, and fewer are faster
    try:
        while part.length:
            with anyio.move_on_after(stall_s) as waiting:
                await anyio.wait_writable(socket)
            if transport.is_closing():
                raise ConnectionResetError("the connection was ended")
            sent = await run_in_thread(_push, socket, file, part)
            if sent is None:
                break
            # It counts as writable when a third of its buffer is free, for which a slow line needs
            # long; any byte that it takes shows that the client took some.
            if not sent and waiting.cancelled_caught:
                transport.abort()
                raise ConnectionAbortedError("the client takes nothing")
            part = ByteRange(part.start + sent, part.stop)
        return part
    finally:
        os.close(socket)
        if not transport.is_closing():
            limit_unsent(transport, UNSENT_BYTES)
            if was_reading:
                transport.resume_reading()


def _push(socket: int, file: IO[bytes], part: ByteRange) -> int | None:
    """Send what the socket takes; return how much that is, or None: there is no sendfile here."""
    sent = 0
    poll = select.poll()
    poll.register(socket, select.POLLOUT)
    while left := min(part.length, STEP_BYTES) - sent:
        try:
            pushed = os.sendfile(socket, file.fileno(), part.start + sent, left)
        except BlockingIOError:
            if not poll.poll(STAY_MS):
                break
        except OSError as error:
            if error.errno in _NO_SENDFILE:
                return sent or None
            raise
        else:
            if not pushed:
                raise ConnectionAbortedError("a blob's file became shorter")
            sent += pushed
    return sent


async def _copy_file(response: web.StreamResponse, file: IO[bytes], part: ByteRange) -> None:
    """Send through memory; a client that takes nothing is noticed by its `Connection`."""
    await run_in_thread(file.seek, part.start)
    left = part.length
    while left:
        piece = await run_in_thread(file.read, min(left, PIECE_BYTES))
        if not piece:
            raise ConnectionAbortedError("a blob's file became shorter")
        for start in range(0, len(piece), WRITE_BYTES):
            await response.write(memoryview(piece)[start : start + WRITE_BYTES])
        left -= len(piece)
