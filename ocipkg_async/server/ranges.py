"""Byte ranges: of a blob that is read, and of a chunk that is sent (RFC 9110 section 14, D-57)."""

import re
from typing import NamedTuple

from .failures import RefusedError

_ONE_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,19})-(?P<last>[0-9]{0,19})", re.ASCII)
# Inclusive, and by the specification without the word; some clients send it all the same.
_CHUNK = re.compile(
    r"(?:bytes[ =])?(?P<first>[0-9]{1,19})-(?P<last>[0-9]{1,19})(?:/(?:[0-9]{1,19}|\*))?", re.ASCII
)


class ByteRange(NamedTuple):
    """Part of a content: from `start` up to but not including `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return self.stop - self.start


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """Return the part of a blob that a ``Range`` header asks for; None is the whole blob (C-13).

    Several ranges in one header are answered with the whole blob, as RFC 9110 allows.

    Raises:
        RefusedError: 416, no byte of the blob is in the range.
    """
    match = _ONE_RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None:
        return None
    first, last = match["first"], match["last"]
    if not first and not last:
        return None
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, stop = max(size - int(last), 0), size
    if start >= stop:
        raise RefusedError(
            416,
            "SIZE_INVALID",
            f"the blob has {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return ByteRange(start, stop)


def sent_range(header: str | None, content_length: int | None) -> ByteRange | None:
    """Return where a chunk lies, from its ``Content-Range``; None if it simply goes on.

    Raises:
        RefusedError: 400, the header cannot be read or is not as long as the body.
    """
    if header is None:
        return None
    match = _CHUNK.fullmatch(header.strip())
    chunk = ByteRange(int(match["first"]), int(match["last"]) + 1) if match else None
    if chunk is None or chunk.length < 0:
        raise RefusedError(
            400, "BLOB_UPLOAD_INVALID", f"the Content-Range {header[:100]!r} is not first-last"
        )
    if content_length is not None and content_length != chunk.length:
        raise RefusedError(
            400,
            "SIZE_INVALID",
            f"the chunk has {content_length} bytes, its Content-Range says {chunk.length}",
        )
    return chunk
