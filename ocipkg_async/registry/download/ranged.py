"""Fetches one blob in ranges, over as many connections as the plan wants, into a sink.

The plan decides, the sink keeps; here are the requests between them. A part that breaks goes on
at its own offset. A failure while other parts move only takes a connection away; the failure of
the last one counts against the operation's budget of tries, which progress refills.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Protocol

import anyio

from ...content import Meter
from ...errors import (
    DeniedError,
    RateLimitedError,
    RegistryError,
    TimedOutError,
    TransportError,
    single_error,
)
from ...spec import Descriptor
from ...transport import Request, Response, RetryBudget, failure_of
from ..endpoint import Endpoint
from .pace import LOOK_S
from .plan import PROGRESS_BYTES, Part, RangePlan, is_capped

_AHEAD_BYTES = 1 << 20, 4 << 20
"""Least and most of one connection that is handed on at once, and received meanwhile (twice that)."""
_AHEAD_ALL_BYTES = 8 << 20
"""All connections together: one alone needs 4 MiB to keep receiving, sixteen fit into memory."""
_TICK_S = 0.25
_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""What storage answers to a signed URL whose time is over."""


class Sink(Protocol):
    """Where the bytes of parts go."""

    @property
    def below(self) -> int | None:
        """Where the last part may begin now, for sinks that keep parts in memory."""
        ...

    async def put(self, offset: int, pieces: Sequence[bytes]) -> None:
        """Keep bytes that follow each other; they are safe when this returns."""
        ...


class RangesRefusedError(Exception):
    """This blob cannot be fetched in ranges: what was fetched is not to be trusted.

    It never leaves this folder.

    Attributes:
        response: the whole blob, unread, if that was the answer; its owner closes `held`.
        held: keeps the response open.
    """

    def __init__(
        self, response: Response | None = None, held: AsyncExitStack | None = None
    ) -> None:
        super().__init__("ranges are refused")
        self.response = response
        self.held = held


class RangedDownload:
    """One download. Use it once.

    Args:
        endpoint: the repository.
        descriptor: the blob.
        plan: what is missing.
        sink: where it goes.
        budget: tries of the whole operation.
        meter: returns what tells of connections and retries.
        on_bytes: called with what arrived.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        descriptor: Descriptor,
        *,
        plan: RangePlan,
        sink: Sink,
        budget: RetryBudget,
        meter: Callable[[], Meter],
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._endpoint = endpoint
        self._descriptor = descriptor
        self._plan = plan
        self._sink = sink
        self._meter = meter
        self._on_bytes = on_bytes
        self._budget = budget
        self._place: str | None = None
        self._unpaid = 0
        self._changed = anyio.Event()
        self._scopes: dict[Part, anyio.CancelScope] = {}
        self._refused: RangesRefusedError | None = None
        self._failed = False

    async def run(self) -> None:
        """Fetch everything that is missing.

        Raises:
            RangesRefusedError: the registry does not serve ranges of this blob as it should.
            NotFoundError: the repository does not have it.
            RegistryError, TransportError: the registry refused, or could not be reached.
            StorageError: the sink failed.
        """
        try:
            with single_error():
                async with anyio.create_task_group() as group:
                    while not (self._plan.complete or self._over):
                        self._changed = anyio.Event()
                        while (part := self._take_part()) is not None:
                            group.start_soon(self._fetch, part)
                        self._meter().connections = max(1, self._plan.active)
                        self._look_after()  # now: between two parts fewer are active
                        with anyio.move_on_after(LOOK_S if self._plan.active == 1 else _TICK_S):
                            await self._changed.wait()
                    group.cancel_scope.cancel()
        except BaseException:
            if self._refused is not None and self._refused.held is not None:
                await self._refused.held.aclose()
            raise
        if self._refused is not None:
            raise self._refused

    def _take_part(self) -> Part | None:
        return self._plan.take(now_s=time.monotonic(), below=self._sink.below)

    @property
    def _over(self) -> bool:
        return self._failed or self._refused is not None

    @property
    def _ahead_bytes(self) -> int:
        least, most = _AHEAD_BYTES
        return max(least, min(most, _AHEAD_ALL_BYTES // self._plan.pace.target))

    def wake(self) -> None:
        """Look again for parts to take: the sink has room."""
        self._changed.set()

    def _look_after(self) -> None:
        now_s = time.monotonic()
        self._plan.pace.adjust(now_s, active=self._plan.active)
        for part in self._plan.stalled(now_s):
            if part in self._scopes:
                self._scopes[part].cancel()
        if self._plan.crawls(now_s) and not is_capped(self._endpoint.transport.options):
            for scope in self._scopes.values():
                scope.cancel()

    async def _fetch(self, part: Part) -> None:
        """Fetch a part to its end, or give back what is left of it."""
        try:
            while part.at < part.stop and not self._over:
                try:
                    with anyio.CancelScope() as self._scopes[part]:
                        await self._receive(part)
                    if self._scopes[part].cancelled_caught:
                        self._raise_stalled()
                except (TransportError, RegistryError) as error:
                    if not await self._goes_on(part, error):
                        return
        except BaseException:
            self._failed = True  # nothing more is taken, though this part is given back
            raise
        finally:
            self._scopes.pop(part, None)
            self._plan.left(part)
            self._changed.set()

    def _raise_stalled(self) -> None:
        raise TimedOutError(
            f"the download of {self._descriptor.digest.short} stood still",
            hint="try again later; what arrived is kept",
        )

    async def _goes_on(self, part: Part, error: TransportError | RegistryError) -> bool:
        """Decide what a failure means; whether to ask for the rest of this part again, here.

        Raises:
            OCIError: nothing more is to be tried.
        """
        plan, now_s = self._plan, time.monotonic()
        self._meter().retries += 1
        stale = part.begun_s is None and part.free_try and isinstance(error, TransportError)
        part.begun_s = None
        if stale:
            part.free_try = False
            return True
        unwanted = isinstance(error, DeniedError | RateLimitedError)
        # A refusal may be late: those that it was one too many beside may have all they want by now.
        several = part.beside if unwanted else plan.active > 1
        if several and (unwanted or failure_of(error).retryable):
            plan.pace.fewer(now_s, least=unwanted)
            return False
        transport = self._endpoint.transport
        name = self._descriptor.digest.short
        if not await transport.again(self._budget, error, action="download", name=name):
            raise error
        return True

    async def _receive(self, part: Part) -> None:
        """Ask once for what is missing of a part, and take what comes."""
        pieces: list[bytes] = []
        stack = AsyncExitStack()
        self._plan.ask(part)
        try:
            response = await self._ask(part, stack)
            if response is None:
                return  # the place is forgotten, the registry is asked next
            headers = response.headers
            verdict = self._plan.answered(
                part,
                response.status,
                {k: headers.get(k) for k in ("Content-Range", "Content-Length", "ETag")},
                now_s=time.monotonic(),
            )
            if verdict == "whole" and self._refused is None:
                self._refused = RangesRefusedError(response, stack.pop_all())
            elif verdict == "odd" and self._refused is None:
                self._refused = RangesRefusedError()
            if self._refused is not None:
                return
            self._changed.set()  # the first answer lets the others begin
            await self._take(part, response, pieces)
        except TransportError:
            await self._keep(part, pieces)
            raise
        finally:
            await stack.aclose()
        if self._refused is None:
            self._plan.received(part)
            self._changed.set()
            await self._keep(part, pieces)

    async def _ask(self, part: Part, stack: AsyncExitStack) -> Response | None:
        """Return the answer to the range of a part, from where the blob was found to lie."""
        endpoint, place = self._endpoint, self._place
        url = endpoint.url(f"blobs/{self._descriptor.digest}")
        request = endpoint.request(
            "GET",
            url,
            scopes=endpoint.pull,
            accept=frozenset({200, 206, 416}),
            headers={"Range": f"bytes={part.at}-{part.stop - 1}"},
            retry=False,
        )
        request = replace(request, bulk=True, read_ahead_bytes=self._ahead_bytes)
        if place is not None:
            request = replace(request, url=place, credentials=False)
        try:
            response = await self._send(request, stack)
        except RegistryError as error:
            if place is None or error.status not in _EXPIRED:
                raise
            if self._place == place:
                self._place = None  # its signature expired; the registry gives a new one
            return None
        if response.url != request.url and place is None:
            self._place = response.url
        return response

    async def _send(self, request: Request, stack: AsyncExitStack) -> Response:
        return await stack.enter_async_context(self._endpoint.transport.send(request))

    async def _take(self, part: Part, response: Response, pieces: list[bytes]) -> None:
        """Hand the body of an answer to the sink, but for the last pieces."""
        left = part.stop - part.at
        while True:
            left -= await self._gather(response, left, pieces)
            if not left:
                break
            await self._keep(part, pieces)
        if await response.body.read(1) and self._refused is None:
            self._refused = RangesRefusedError()  # more than its range: whose bytes are these?

    async def _gather(self, response: Response, left: int, pieces: list[bytes]) -> int:
        """Receive enough for one hop to a worker thread, or all that is left; return how much.

        A slow line's bytes are handed on several times a second all the same, so that they count
        as progress, and are not lost with the connection.
        """
        wanted = min(self._ahead_bytes, left)
        length, until_s = 0, time.monotonic() + _TICK_S
        while length < wanted and (not length or time.monotonic() < until_s):
            data = await response.body.read(left - length)
            if not data:
                raise TransportError(f"a range of {self._descriptor.digest.short} ended too early")
            pieces.append(data)
            length += len(data)
        return length

    async def _keep(self, part: Part, pieces: list[bytes]) -> None:
        """Hand received pieces to the sink; then the list is empty."""
        length = sum(map(len, pieces))
        if not length:
            return
        await self._sink.put(part.at, tuple(pieces))
        pieces.clear()
        self._plan.moved(part, length, now_s=time.monotonic())
        self._on_bytes(length)
        self._unpaid += length
        if self._unpaid >= min(PROGRESS_BYTES, self._plan.part_bytes):
            self._unpaid = 0
            self._budget.progressed()
