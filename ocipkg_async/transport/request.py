"""A request, as a plain value."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from .auth.scope import Scope
from .headers import Headers
from .response import Response

__all__ = ["Body", "BodyStream", "Headers", "Request", "Response"]


class BodyStream(Protocol):
    """Bytes to send, read piece by piece."""

    async def read(self, max_bytes: int, /) -> bytes:
        """Return up to `max_bytes` bytes, at least one, or ``b""`` at the end."""
        ...


class Body(Protocol):
    """A request body that is streamed; every ``content.Source`` is one."""

    @property
    def size(self) -> int | None:
        """Length in bytes, or None: then it is sent in chunked encoding."""
        ...

    @property
    def reopenable(self) -> bool:
        """Whether `open` can be called again and gives the same bytes."""
        ...

    def open(self) -> AbstractAsyncContextManager[BodyStream]:
        """Open a stream at the first byte."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a registry, or to a place that a registry named.

    Attributes:
        method: HTTP method.
        url: absolute and already percent-encoded; sent byte for byte (D-122).
        registry: ``host[:port]`` of the registry it is sent for. Its credentials go to the origin
            of `Transport.base_url` and nowhere else.
        repository: repository, for credential files with keys per repository.
        scopes: what the request needs (A-23), the most important first.
        headers: further headers. A redirect to another origin keeps only harmless ones (S-10).
        body: bytes, or a stream that is opened when it is needed.
        accept: statuses that are answers; any other is raised as an error.
        follow: follow redirects; without, a redirect is an answer if accepted, else an error.
        credentials: without, no credential is sent and a 401 is an error (S-11).
        retry: try again after failures that may pass. Without, a 401 is still answered with a token.
        bulk: it moves much data. Bulk requests leave connection slots to the others; the GET of a
            blob and every request with a streamed body is bulk by itself.
        read_ahead_bytes: how much of the answer is received while nobody reads it, twice; None is
            what suits a single large one.
    """

    method: str
    url: str
    registry: str
    repository: str | None = None
    scopes: tuple[Scope, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | Body | None = None
    accept: frozenset[int] = frozenset({200})
    follow: bool = True
    credentials: bool = True
    retry: bool = True
    bulk: bool = False
    read_ahead_bytes: int | None = None
