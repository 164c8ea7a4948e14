"""An upload session without I/O: what to send next, and what an answer means.

Distribution-spec v1.1, "Pushing blobs". Two rules are behind everything here: the newest
``Location`` is the only valid one, and the server's offset is right, not ours. A location is
opaque: it is resolved against the URL that returned it, and only ``digest=`` is ever added.
"""

import re
from dataclasses import dataclass, replace
from typing import Protocol, Self
from urllib.parse import quote, urljoin, urlsplit

from ...errors import ProtocolError
from ...spec import Digest

_RANGE = re.compile(r"(?:bytes=)?0-(?P<last>[0-9]{1,19})", re.ASCII)
# A minimum above this is a broken registry, not a wish to be met: the chunk must fit into memory.
MAX_CHUNK_BYTES = 1 << 30


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
            ProtocolError: the answer has no location.
        """
        location = headers.get("Location")
        if not location:
            raise ProtocolError(
                "the registry opened an upload but did not say where",
                hint="the registry, or a proxy before it, drops the Location header",
            )
        minimum = headers.get("OCI-Chunk-Min-Length") or ""
        length = int(minimum) if minimum.isascii() and minimum.isdigit() else 0
        if length > MAX_CHUNK_BYTES:
            length = 0
        return cls(location=join(url, location), min_chunk_bytes=length)

    def chunk_bytes(self, wanted: int) -> int:
        """Return the size of a chunk: as wanted, but not below the registry's minimum."""
        return max(wanted, self.min_chunk_bytes)

    def content_range(self, length: int) -> str:
        """Return the ``Content-Range`` of the next chunk: both ends inclusive, no unit (D-57)."""
        return f"{self.offset}-{self.offset + length - 1}"

    def accepted(self, url: str, headers: Headers, *, sent: int) -> Self:
        """Return the session after a 2xx to a chunk of `sent` bytes (D-52, D-60).

        A ``Range`` that claims fewer bytes than were sent before is stale (ECR) and ignored; one
        inside this chunk says how much of it to send again.

        Raises:
            ProtocolError: the server claims bytes that were never sent.
        """
        location = headers.get("Location")
        have = self._have(headers)
        end = self.offset + sent
        if have is not None and have > end:
            raise ProtocolError(f"the registry says it has {have} bytes; {end} were sent")
        offset = have if have is not None and self.offset < have else end
        return replace(
            self, location=join(url, location) if location else self.location, offset=offset
        )

    def resumed(self, url: str, headers: Headers) -> Self | None:
        """Return the session after a 204 to a status query, or None where it must start again.

        An answer of ``0-0`` means nothing or one byte, depending on the server (D-62).
        """
        have = self._have(headers)
        if have is None or have <= 1:
            return None
        location = headers.get("Location")
        return replace(
            self, location=join(url, location) if location else self.location, offset=have
        )

    def closing_url(self, digest: Digest) -> str:
        """Return the URL of the PUT that ends the session (D-51)."""
        separator = "&" if "?" in self.location else "?"
        return f"{self.location}{separator}digest={quote(digest, safe='')}"

    @staticmethod
    def _have(headers: Headers) -> int | None:
        match = _RANGE.fullmatch((headers.get("Range") or "").strip())
        return int(match["last"]) + 1 if match else None


def join(base: str, location: str) -> str:
    """Resolve a ``Location`` against the URL that returned it, byte for byte (D-50)."""
    if location.startswith("?"):
        return base.partition("?")[0] + location
    if urlsplit(location).scheme:
        return location
    return urljoin(base, location)


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port; the default port may be left out (D-53)."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default
