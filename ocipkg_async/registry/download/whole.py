"""A blob as one streamed GET, taken up again where it broke off, verified while it arrives."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ...content import BlobReader
from ...errors import RegistryError, TimedOutError, TransportError
from ...spec import Descriptor
from ...transport import Response, RetryBudget
from ..endpoint import Endpoint
from .plan import PROGRESS_BYTES, Crawl, check_content_range, is_capped

_SKIP_BYTES = 1 << 20


@asynccontextmanager
async def open_whole(
    endpoint: Endpoint,
    descriptor: Descriptor,
    *,
    response: Response | None = None,
    budget: RetryBudget | None = None,
) -> AsyncIterator[BlobReader]:
    """Open a blob for reading from its first byte (D-31, D-33).

    Args:
        endpoint: the repository.
        descriptor: the blob.
        response: the whole blob, if it was asked for already; it is left when it broke or at the end.
        budget: tries and time of the operation that this is part of.

    Raises:
        NotFoundError: the repository does not have it.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    stream = _BlobStream(endpoint, descriptor, response, budget or endpoint.transport.budget())
    try:
        if response is None:
            await stream.connect()
        yield BlobReader(stream, descriptor)
    finally:
        await stream.close()


class _BlobStream:
    """The raw bytes of one blob over as many connections as it takes, from one budget of retries."""

    def __init__(
        self,
        endpoint: Endpoint,
        descriptor: Descriptor,
        response: Response | None,
        budget: RetryBudget,
    ) -> None:
        self._endpoint = endpoint
        self._descriptor = descriptor
        self._offset = 0
        self._budget = budget
        self._failed_at = 0
        self._crawl = Crawl()
        self._stack = AsyncExitStack()
        self._response = response

    async def read(self, max_bytes: int, /) -> bytes:
        if self._budget.deadline_s is None:
            return await self._read(max_bytes)
        with self._endpoint.transport.limited(self._budget, what=self._what):
            return await self._read(max_bytes)

    @property
    def _what(self) -> str:
        return f"the download of {self._descriptor.digest.short}"

    async def _read(self, max_bytes: int) -> bytes:
        while True:
            try:
                response = self._response or await self._resume()
                data = await response.body.read(max_bytes)
                crawls = self._crawl.noticed(time.monotonic(), self._offset + len(data))
                if crawls and not is_capped(self._endpoint.transport.options):
                    raise TimedOutError(f"{self._what} stood still")
            except (TransportError, RegistryError) as error:
                await self.close()
                self._crawl = Crawl()
                if self._offset - self._failed_at >= PROGRESS_BYTES:
                    self._budget.progressed()
                self._failed_at = self._offset
                if self._offset >= self._descriptor.size:
                    return b""  # only the end of the body was lost, and the digest tells the rest
                if not await self._endpoint.transport.again(
                    self._budget, error, action="download", name=self._descriptor.digest.short
                ):
                    raise
            else:
                self._offset += len(data)
                return data

    async def connect(self) -> None:
        """Ask for the whole blob."""
        self._response = await self._send({}, accept=frozenset({200}), retry=True)

    async def close(self) -> None:
        """Leave the connection."""
        response, self._response = self._response, None
        if response is not None:
            # Also one that was given: the next request may need the slot that it holds.
            response.close()
        await self._stack.aclose()

    async def _resume(self) -> Response:
        """Ask the registry, not where it once redirected to, for what is missing."""
        first, size = self._offset, self._descriptor.size
        headers = {"Range": f"bytes={first}-{size - 1}"} if first else {}
        response = await self._send(headers, accept=frozenset({200, 206}), retry=False)
        if response.status == 206:
            check_content_range(
                response.headers.get("Content-Range"), first=first, last=size - 1, size=size
            )
        else:
            await _skip(response, first)
        self._response = response
        return response

    async def _send(
        self, headers: dict[str, str], *, accept: frozenset[int], retry: bool
    ) -> Response:
        request = self._endpoint.request(
            "GET",
            self._endpoint.url(f"blobs/{self._descriptor.digest}"),
            scopes=self._endpoint.pull,
            accept=accept,
            headers=headers,
            retry=retry,
        )
        return await self._stack.enter_async_context(self._endpoint.transport.send(request))


async def _skip(response: Response, length: int) -> None:
    """Read past what was delivered already, when a registry sends all of it again."""
    while length:
        data = await response.body.read(min(length, _SKIP_BYTES))
        if not data:
            raise TransportError("the registry sent the blob once more, and less of it")
        length -= len(data)
