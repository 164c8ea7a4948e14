"""The client side of HTTP: one object that sends requests to registries."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Self

import anyio

from ..errors import ClosedError, OCIError
from ..events import Action, Event, OnEvent, Retrying, Warned, ignore
from ..spec.reference import Reference, is_loopback
from .auth.authorizer import Authorizer
from .auth.need import Need
from .auth.token import MAX_ANSWER_BYTES, TokenRequest
from .credentials.model import CredentialProvider
from .deadline import Deadline
from .exchange import Connections
from .failure import failure_of
from .headers import Headers
from .operation import Operation, Parts
from .options import TransportOptions
from .request import Request
from .response import Response
from .retry import RetryBudget
from .throttle import Throttle
from .urls import Origin, origin_of

__all__ = ["Transport", "TransportOptions"]

_MAX_WARNINGS = 1000
"""How many texts are remembered, to report each once (D-04)."""


class Transport:
    """Sends requests to registries. An async context manager that owns its connections.

    Args:
        options: time limits, retries, TLS and the rest.
        credentials: where users and passwords come from; None: nowhere, everything is anonymous.
        on_event: gets `Retrying` and `Warned`.
    """

    def __init__(
        self,
        options: TransportOptions | None = None,
        *,
        credentials: CredentialProvider | None = None,
        on_event: OnEvent = ignore,
    ) -> None:
        self.options = options or TransportOptions()
        self._on_event = on_event
        self._warned: set[tuple[str, str]] = set()
        self._connections = Connections(self.options)
        self._token_servers: set[Origin] = set()
        self._parts = Parts(
            options=self.options,
            connections=self._connections,
            throttle=Throttle(self.options.connections_per_host, policy=self.options.retry),
            authorizer=Authorizer(
                exchange=self._ask_token_server,
                credentials=credentials,
                allowed_realms=self.options.token_realms,
            ),
            token_servers=self._token_servers,
            on_event=on_event,
            warn=self._warn,
        )

    async def __aenter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Open it in a running event loop, as ``async with`` does; then `__aexit__` must follow."""
        self._connections.start()

    async def __aexit__(self, *details: object) -> None:
        await self._connections.__aexit__(*details)

    def base_url(self, registry: str) -> str:
        """Return ``https://host`` or ``http://host`` of a registry (R-13).

        Args:
            registry: ``host[:port]``; ``docker.io`` stands for the host that Docker Hub uses.
        """
        host = Reference(registry=registry, repository="any").host
        plain = self.options.plain_http
        http = is_loopback(host) if plain is None else plain
        return f"{'http' if http else 'https'}://{host}"

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Response]:
        """Send a request; its answer is there as soon as its headers are.

        Retries cover what fails before that. When the body breaks off, who reads it decides what to
        ask for again.

        Raises:
            RegistryError: the registry said no; the class tells what.
            TransportError: no usable answer came, after all retries.
            CredentialError: stored credentials cannot be read.
            ClosedError: the transport is not entered, or was left.
        """
        response = await self._operation(request).run()
        try:
            yield response
        finally:
            response.close()

    async def fetch(self, request: Request, *, max_bytes: int) -> tuple[Response, bytes]:
        """Send a request and read its whole body; retries cover the body too.

        Returns:
            the answer, closed, and its body.

        Raises:
            ProtocolError: the body is longer than `max_bytes`.
            RegistryError, TransportError, CredentialError, ClosedError: as `send`.
        """
        return await self._operation(request).run_whole(max_bytes)

    def budget(self) -> RetryBudget:
        """Return a new budget for something that takes several requests, such as an upload.

        Those requests are sent with ``retry=False``; `again` decides after a failure.
        """
        return RetryBudget(self.options.retry, now_s=time.monotonic())

    async def again(
        self,
        budget: RetryBudget,
        error: OCIError,
        *,
        action: Action,
        also: frozenset[int] = frozenset(),
        name: str = "",
    ) -> bool:
        """Wait before another try of something that takes several requests.

        Args:
            budget: of the operation, from `budget`.
            error: what the last try failed with.
            action: word for the `Retrying` event.
            also: statuses that are worth another try here, besides 408, 429 and 5xx.
            name: what it is about, for the event.

        Returns:
            False, without waiting, if there is to be no other try.
        """
        wait_s = budget.wait_after(failure_of(error, also=also), now_s=time.monotonic())
        if wait_s is None:
            return False
        self._parts.on_event(
            Retrying(
                action=action, name=name, attempt=budget.failed, wait_s=wait_s, reason=str(error)
            )
        )
        await anyio.sleep(wait_s)
        return True

    def limited(
        self, budget: RetryBudget, *, what: str = "the transfer"
    ) -> AbstractContextManager[None]:
        """Bound what is done inside by the deadline of an operation, the reading of bodies too.

        Args:
            budget: of the operation, from `budget`.
            what: what is done, as it begins the sentence "… was not finished".

        Returns:
            a context manager that raises `TimedOutError`; without a deadline it does nothing.
        """
        return Deadline(budget, what=what)

    def report(self, event: Event) -> None:
        """Tell whoever listens to this transport what happened."""
        self._on_event(event)

    def _operation(self, request: Request) -> Operation:
        if not self._connections.open:
            raise ClosedError("this client is closed", hint="use it inside its 'async with'")
        return Operation(self._parts, request, base_url=self.base_url(request.registry))

    async def _ask_token_server(self, asked: TokenRequest, need: Need) -> tuple[bytes, Headers]:
        self._token_servers.add(origin_of(asked.url))
        request = Request(
            method=asked.method,
            url=asked.url,
            registry=need.registry,
            headers=asked.headers,
            body=asked.body,
            follow=asked.method == "GET",  # S-16
            credentials=False,
        )
        response, body = await self.fetch(request, max_bytes=MAX_ANSWER_BYTES)
        return body, response.headers

    def _warn(self, action: Action, registry: str, text: str) -> None:
        if (registry, text) in self._warned or len(self._warned) >= _MAX_WARNINGS:
            return
        self._warned.add((registry, text))
        self._on_event(Warned(action=action, name=registry, text=text))
