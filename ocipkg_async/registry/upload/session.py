"""An upload session without I/O: what to send next, and what an answer means.

Distribution-spec v1.1, "Pushing blobs". Two rules are behind everything here: the newest
``Location`` is the only valid one, and the server's offset is right, not ours. A location is
opaque: it is resolved against the URL that returned it, and only ``digest=`` is ever added.
"""

import re
from dataclasses import dataclass, replace
from typing import Protocol, Self
from urllib.parse import quote

from ...errors import ProtocolError, TransportError
from ...spec import Digest
from ...transport import join_location

_RANGE = re.compile(r"(?:bytes=)?0-(?P<last>[0-9]{1,19})", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,19}", re.ASCII)
MAX_CHUNK_BYTES = 128 << 20
"""Longest chunk that is held in memory. A registry that wants longer ones gets a stream in one piece."""


class Headers(Protocol):
    """The headers of an answer, by name without case."""

    def get(self, name: str, /) -> str | None:
        """Return the first value of a header, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSession:
    """Where an upload stands.

    Attributes:
        location: absolute URL for the next request.
        offset: bytes the server has.
        min_chunk_bytes: least size of every chunk but the last, or 0.
    """

    location: str
    offset: int = 0
    min_chunk_bytes: int = 0

    @classmethod
    def opened(cls, url: str, headers: Headers) -> Self:
        """Return the session that a 202 to POST opened at `url` (D-50, D-59).

        Raises:
            ProtocolError: the answer has no location, or one that cannot be used.
        """
        location = headers.get("Location")
        if not location:
            raise ProtocolError(
                "the registry opened an upload but did not say where",
                hint="the registry, or a proxy before it, drops the Location header",
            )
        minimum = (headers.get("OCI-Chunk-Min-Length") or "").strip()
        length = int(minimum) if _LENGTH.fullmatch(minimum) else 0
        return cls(location=join_location(url, location), min_chunk_bytes=length)

    def held_chunk_bytes(self, wanted: int) -> int | None:
        """Return the size of a chunk that is held in memory: not below the registry's minimum.

        Returns:
            None where the minimum does not fit into memory: then nothing is cut into chunks.
        """
        if self.min_chunk_bytes > MAX_CHUNK_BYTES:
            return None
        return max(min(wanted, MAX_CHUNK_BYTES), self.min_chunk_bytes)

    def content_range(self, length: int) -> str:
        """Return the ``Content-Range`` of the next chunk: both ends inclusive, no unit (D-57)."""
        return f"{self.offset}-{self.offset + length - 1}"

    def accepted(self, url: str, headers: Headers, *, sent: int) -> Self:
        """Return the session after a 2xx to a chunk of `sent` bytes (D-52, D-60).

        A ``Range`` that claims no more than there was before this chunk is stale (ECR) or counts
        the chunk alone (Aliyun), and is ignored; one inside this chunk says how much of it to send
        again.

        Raises:
            ProtocolError: the server claims bytes that were never sent.
            TransportError: it says ``0-0``, which is nothing or one byte (D-62); only a new
                session can tell.
        """
        have = self._have(headers)
        end = self.offset + sent
        if have is not None and have > end:
            raise ProtocolError(f"the registry says it has {have} bytes; {end} were sent")
        if have == 1 and self.offset == 0 and sent > 1:
            raise TransportError(f"the registry kept nothing, or one byte, of {sent}")
        offset = have if have is not None and self.offset < have else end
        return self._moved(url, headers, offset)

    def streamed(self, url: str, headers: Headers, *, sent: int) -> Self:
        """Return the session after a 2xx to all of a blob.

        What the server says to have is not looked at: several count wrongly, and the digest at the
        end settles it.
        """
        return self._moved(url, headers, self.offset + sent)

    def resumed(self, url: str, headers: Headers) -> Self | None:
        """Return the session after a 204 to a status query, or None where it must start again.

        An answer of ``0-0`` means nothing or one byte, depending on the server (D-62).
        """
        have = self._have(headers)
        return None if have is None or have <= 1 else self._moved(url, headers, have)

    def closing_url(self, digest: Digest) -> str:
        """Return the URL of the PUT that ends the session (D-51)."""
        separator = "&" if "?" in self.location else "?"
        return f"{self.location}{separator}digest={quote(digest, safe='')}"

    def _moved(self, url: str, headers: Headers, offset: int) -> Self:
        location = headers.get("Location")
        newest = join_location(url, location) if location else self.location
        return replace(self, location=newest, offset=offset)

    @staticmethod
    def _have(headers: Headers) -> int | None:
        match = _RANGE.fullmatch((headers.get("Range") or "").strip())
        return int(match["last"]) + 1 if match else None
