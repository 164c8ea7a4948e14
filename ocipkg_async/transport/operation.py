"""The life of one request, from its first try to its answer or its last failure."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ..errors import (
    OCIError,
    ProtocolError,
    RateLimitedError,
    RedirectError,
    RegistryError,
    TransportError,
)
from ..events import Action, OnEvent, Retrying
from .auth.authorizer import Authorization, Authorizer
from .auth.need import Need
from .auth.refused import explained, warning
from .deadline import Deadline
from .exchange import Connections, Outgoing
from .failure import FailedError, Failure, failure_of, is_retryable
from .options import TransportOptions
from .redirect import STATUSES, Hop, next_hop
from .request import Request
from .response import Response
from .responses import MAX_ERROR_BYTES, error_for, parse_warnings
from .retry import RetryBudget, parse_retry_after
from .throttle import Lane, Throttle
from .urls import Origin, origin_of, redacted

_log = logging.getLogger("ocipkg_async.transport")
_T = TypeVar("_T")

_MAX_RENEWALS = 2
"""401s that one try answers: one for the token, one more for its scope (A-25)."""
_BULK_BYTES = 1 << 20
"""Bytes in memory from this size on use the upload slots; streams always do, see throttle.py."""
_BLOB = re.compile(r"/blobs/[a-z0-9]+[:%]")
_ALWAYS_SET = frozenset({"accept-encoding", "user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What all requests of one client share.

    Attributes:
        token_servers: origins that get the client certificate as registries do (A-16).
        warn: reports a text once.
    """

    options: TransportOptions
    connections: Connections
    throttle: Throttle
    authorizer: Authorizer
    token_servers: set[Origin]
    on_event: OnEvent
    warn: Callable[[Action, str, str], None]


def action_of(request: Request) -> Action:
    """Return the word for events."""
    return "download" if request.method in {"GET", "HEAD"} else "upload"


def lane_of(request: Request) -> Lane:
    """Return the slots that a request uses."""
    body = request.body
    if body is None:
        blob = request.method == "GET" and _BLOB.search(request.url) is not None
        return Lane.DOWNLOAD if request.bulk or blob else Lane.SMALL
    if request.bulk or not isinstance(body, bytes) or len(body) >= _BULK_BYTES:
        return Lane.UPLOAD
    return Lane.SMALL


class Operation:
    """One request. Use it once.

    Args:
        parts: what it shares with others.
        request: what is wanted.
        base_url: of the registry it is for.
    """

    def __init__(self, parts: Parts, request: Request, *, base_url: str) -> None:
        self._parts = parts
        self._request = request
        self._registry = origin_of(base_url)
        self._lane = lane_of(request)
        self._body_used = False
        self._authorization: Authorization | None = None
        self._budget = RetryBudget(parts.options.retry, now_s=time.monotonic())
        self._need = Need(request.registry, self._registry, request.repository, request.scopes)
        trusted = origin_of(request.url) == self._registry
        own: Mapping[str, str] = parts.options.headers if trusted else {}
        self._first = Hop(
            method=request.method,
            url=request.url,
            headers={**own, **request.headers},
            with_body=request.body is not None,
            trusted=trusted,
        )
        named = any(name.lower() == "authorization" for name in request.headers)
        self._authorizes = request.credentials and not named

    async def run(self) -> Response:
        """Return the answer, open."""
        with self._limited():
            return await self._repeat(self._try)

    async def run_whole(self, max_bytes: int) -> tuple[Response, bytes]:
        """Return the answer, closed, and its body."""

        async def once() -> tuple[Response, bytes]:
            response = await self._try()
            try:
                return response, await response.read(max_bytes)
            except ProtocolError:
                raise
            except TransportError as error:
                raise FailedError(Failure(error=error, retryable=True)) from error.__cause__
            finally:
                response.close()

        with self._limited():
            return await self._repeat(once)

    def _limited(self) -> Deadline:
        request = self._request
        return Deadline(self._budget, what=f"{request.method} {redacted(request.url)}")

    async def _repeat(self, once: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            try:
                return await once()
            except FailedError as failed:
                failure, cause = failed.failure, failed.__cause__
            wait_s = self._budget.wait_after(failure, now_s=time.monotonic())
            if wait_s is None or not self._request.retry or not self._can_send_body():
                raise failure.error from cause
            _log.debug("trying again in %.1f s: %s", wait_s, failure.error)
            self._parts.on_event(
                Retrying(
                    action=action_of(self._request),
                    name=self._request.registry,
                    attempt=self._budget.failed,
                    wait_s=wait_s,
                    reason=str(failure.error),
                )
            )
            await anyio.sleep(wait_s)

    async def _try(self) -> Response:
        """Follow one request through redirects and 401s to its answer."""
        hop, renewals = self._first, 0
        if self._authorizes and hop.trusted:
            self._authorization = await self._parts.authorizer.current(self._need)
        while True:
            response = await self._exchange(hop)
            try:
                if response.status in self._request.accept:
                    self._tell_of_refusal(hop)
                    return response
                if response.status in STATUSES and self._request.follow:
                    hop = self._redirected(hop, response)
                    await response.discard()
                    continue
                error = await self._error(hop, response)
            except BaseException:
                response.close()
                raise
            response.close()
            if response.status != 401 or renewals >= _MAX_RENEWALS:
                raise self._failed(hop, response, error)
            renewals += 1
            if not await self._renew(hop, response):
                raise self._failed(hop, response, error)
            if not self._can_send_body():
                error.hint = "the body can be read only once; make a small request first, to log in"
                raise self._failed(hop, response, error)

    async def _renew(self, hop: Hop, response: Response) -> bool:
        """Get a better Authorization after a 401; a foreign host never starts this (S-12)."""
        if not hop.trusted or not self._authorizes:
            return False
        new = await self._parts.authorizer.renew(
            self._need, self._authorization, response.headers.get_all("WWW-Authenticate")
        )
        if new is None:
            return False
        self._authorization = new
        return True

    def _authorization_for(self, hop: Hop) -> Authorization | None:
        """What the host of a hop may see."""
        return self._authorization if hop.trusted and self._authorizes else None

    def _tell_of_refusal(self, hop: Hop) -> None:
        """Warn, once, where reading did without a credential that was refused."""
        authorization, registry = self._authorization_for(hop), self._request.registry
        if authorization is not None and authorization.refusal:
            text = warning(registry, authorization.refusal)
            self._parts.warn(action_of(self._request), registry, text)

    def _redirected(self, hop: Hop, response: Response) -> Hop:
        options = self._parts.options
        moved = next_hop(
            hop,
            response.status,
            response.headers.get("Location"),
            registry=self._registry,
            max_redirects=options.max_redirects,
            allowed_hosts=options.redirect_hosts,
        )
        if moved.with_body and not self._can_send_body():
            raise RedirectError(
                f"{hop.method} {redacted(hop.url)}: redirected after its body was sent, "
                "which can be read only once",
                hint="write the content to a file and send the file",
            )
        return moved

    def _can_send_body(self) -> bool:
        body = self._request.body
        return not self._body_used or body is None or isinstance(body, bytes) or body.reopenable

    def _mark_used(self) -> None:
        self._body_used = True

    async def _exchange(self, hop: Hop) -> Response:
        parts, origin = self._parts, hop.origin
        await self._wait_for_host(origin, hop)
        headers = {k: v for k, v in hop.headers.items() if k.lower() not in _ALWAYS_SET}
        headers["User-Agent"] = parts.options.user_agent
        headers["Accept-Encoding"] = "identity"  # D-11, D-121
        authorization = self._authorization_for(hop)
        if authorization is not None and authorization.header:
            headers["Authorization"] = authorization.header
        outgoing = Outgoing(
            method=hop.method,
            url=hop.url,
            headers=headers,
            body=self._request.body if hop.with_body else None,
            bulk=self._lane is not Lane.SMALL,
            read_ahead_bytes=self._request.read_ahead_bytes,
            registry=self._registry.host,
            own=hop.trusted or origin in parts.token_servers,
        )
        slot = await parts.throttle.acquire(origin, self._lane)
        started_s = time.monotonic()
        try:
            response = await parts.connections.exchange(
                outgoing, on_body=self._mark_used, on_close=slot.release
            )
        except BaseException as error:
            slot.release()
            if isinstance(error, FailedError):
                self._count_failure(origin, error.failure, begun_s=started_s)
            raise
        if is_retryable(response.status):
            parts.throttle.failed(origin, begun_s=started_s)
        else:
            parts.throttle.succeeded(origin, begun_s=started_s)
        took_ms = 1000 * (time.monotonic() - started_s)
        _log.debug("%s %s: %d, %.0f ms", hop.method, redacted(hop.url), response.status, took_ms)
        if hop.trusted:
            for text in parse_warnings(response.headers.get_all("Warning")):
                parts.warn(action_of(self._request), self._request.registry, text)
        return response

    def _count_failure(self, origin: Origin, failure: Failure, *, begun_s: float) -> None:
        """Let others leave a host alone that did not answer."""
        # That a connection was stale says nothing of the host; that a new one breaks too does.
        stale = failure.at_once and not self._budget.failed
        if failure.retryable and not stale:
            self._parts.throttle.failed(origin, begun_s=begun_s, refused=failure.refused)

    async def _wait_for_host(self, origin: Origin, hop: Hop) -> None:
        """Wait as long as a host asked everybody to, or as its failures suggest."""
        throttle, budget = self._parts.throttle, self._budget
        # While this waits, others may fail.
        while wait_s := throttle.pause_left_s(origin):
            asked_s = throttle.asked_left_s(origin)
            if not budget.can_wait(asked_s, now_s=time.monotonic()):
                raise RateLimitedError(
                    f"{origin.netloc} asked to be left alone for another {asked_s:.0f} s",
                    status=429,
                    method=hop.method,
                    url=redacted(hop.url),
                    retry_after_s=asked_s,
                    hint="try again after that time",
                )
            if not budget.can_wait(wait_s, now_s=time.monotonic()):
                return  # a try costs the host less than it costs the caller to give up
            budget.spend(wait_s)
            await anyio.sleep(wait_s)

    async def _error(self, hop: Hop, response: Response) -> OCIError:
        """Return the error that an answer means, its body read as far as it is needed."""
        status = response.status
        body = b"" if hop.method == "HEAD" else await response.read_excerpt(MAX_ERROR_BYTES)
        what = f"{hop.method} {redacted(hop.url)}"
        if status in STATUSES:
            return RedirectError(f"{what}: answered with a redirect, which is not followed here")
        if status < 400:
            return ProtocolError(f"{what}: answered with the unexpected status {status}")
        error = error_for(
            status,
            method=hop.method,
            url=hop.url,
            headers=response.headers,
            body=body,
            retry_after_s=parse_retry_after(response.headers.get("Retry-After"), now_s=time.time()),
        )
        if not hop.trusted and status in {401, 403}:
            error.hint = (
                f"{hop.origin.netloc} is not {self._request.registry}, so no credential was sent; "
                "its link may have expired: try again"
            )
        return error

    def _failed(self, hop: Hop, response: Response, error: OCIError) -> FailedError:
        options, status = self._parts.options, response.status
        authorization = self._authorization_for(hop)
        if status == 404:  # which may be said of what strangers may not see
            self._tell_of_refusal(hop)
        if authorization is not None and isinstance(error, RegistryError):
            error = explained(error, registry=self._request.registry, reason=authorization.refusal)
        failure = failure_of(error) if isinstance(error, RegistryError) else None
        if failure is None:
            return FailedError(Failure(error=error, retryable=False))
        asked_s = failure.retry_after_s
        # A longer wait is nobody's: each request is told by the server itself that it must not come.
        if asked_s and status in {429, 503} and asked_s <= options.retry.wait_budget_s:
            self._parts.throttle.pause(hop.origin, asked_s)
        return FailedError(failure)
