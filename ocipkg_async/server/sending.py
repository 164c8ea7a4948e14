"""A blob, from its file to the connection: whole or in part.

Large files go by sendfile: the kernel moves them from its cache to the socket.
"""

import asyncio  # sendfile is a method of the event loop and has no equal in anyio
from pathlib import Path
from typing import IO, NamedTuple

from aiohttp import web

from ..content import run_in_thread
from ..errors import storage_errors
from ..layout import Layout
from ..spec import Descriptor, Digest, media_types
from .failures import blob_unknown
from .ranges import ByteRange, requested_range

SMALL_BYTES = 64 << 10
"""Up to this size a blob is read in the hop that opens it, and leaves in one write with its headers."""
PIECE_BYTES = 1 << 20
"""How much is read at once where there is no sendfile."""


class _Opened(NamedTuple):
    file: IO[bytes]
    size: int
    small: bytes | None


def _open(layout: Layout, digest: Digest, root: Path) -> _Opened:
    path = layout.local_path(Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=0))
    if path is None:
        raise blob_unknown(digest)
    with storage_errors("read a blob"):
        # The layout may be somebody else's, with links to files that are not to be shown.
        path = path.resolve()
        if not path.is_relative_to(root):
            raise blob_unknown(digest)
        file = path.open("rb", buffering=0)
        try:
            size = file.seek(0, 2)
            small = None
            if size <= SMALL_BYTES:
                file.seek(0)
                small = file.read(size)
        except BaseException:
            file.close()
            raise
        return _Opened(file, size, small)


async def send_blob(
    request: web.BaseRequest, layout: Layout, digest: Digest, *, root: Path
) -> web.StreamResponse:
    """Answer a GET or HEAD of a blob, with ``Range`` (C-13).

    Args:
        request: the request.
        layout: where the blob is.
        digest: its digest.
        root: a resolved folder; what lies outside is not shown, whatever links lead there (S-04).

    Raises:
        RefusedError: 404, it is not there; 416, nothing of it is in the range.
        StorageError: the file cannot be read.
    """
    opened = await run_in_thread(_open, layout, digest, root)
    try:
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
            await _send_file(request, response, opened.file, part)
        await response.write_eof()
        return response
    finally:
        opened.file.close()


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
    request: web.BaseRequest, response: web.StreamResponse, file: IO[bytes], part: ByteRange
) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    loop = asyncio.get_running_loop()
    try:
        await loop.sendfile(transport, file, part.start, part.length, fallback=False)
    except (NotImplementedError, asyncio.SendfileNotAvailableError):
        await _copy_file(response, file, part)


async def _copy_file(response: web.StreamResponse, file: IO[bytes], part: ByteRange) -> None:
    await run_in_thread(file.seek, part.start)
    left = part.length
    while left:
        piece = await run_in_thread(file.read, min(left, PIECE_BYTES))
        if not piece:
            raise ConnectionAbortedError("a blob's file became shorter")
        await response.write(piece)
        left -= len(piece)
