"""Tokens in memory, and one fetch for all who want the same one (A-26, A-27)."""

import copy
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

import anyio

from ...errors import OCIError
from ..credentials.model import Credential
from ..urls import Origin
from .scope import Scope, cover
from .token import Token

MAX_TOKENS = 4096
"""A mirror of many repositories needs one for each; older ones are fetched again."""
_MARGIN_SHARE = 0.1
_LONGEST_MARGIN_S = 30.0


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What a token is good for: one registry, one server, one user, some scopes (A-26)."""

    registry: Origin
    realm: str
    service: str
    credential: Credential | None = field(repr=False)
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    token: Token
    until_s: float


class TokenCache:
    """Tokens until shortly before they expire, by a clock that nobody sets (A-17)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[TokenKey, _Kept] = {}

    def find(self, key: TokenKey) -> Token | None:
        """Return a token whose scopes cover those of `key`."""
        now_s = self._clock()
        exact = self._kept.get(key)
        if exact is not None and exact.until_s > now_s:
            return exact.token
        for other, kept in self._kept.items():
            if (
                kept.until_s > now_s
                and (other.registry, other.realm, other.service, other.credential)
                == (key.registry, key.realm, key.service, key.credential)
                and cover(other.scopes, key.scopes)
            ):
                return kept.token
        return None

    def keep(self, key: TokenKey, token: Token) -> None:
        """Keep a new token."""
        now_s = self._clock()
        if len(self._kept) >= MAX_TOKENS:
            self._kept = {k: kept for k, kept in self._kept.items() if kept.until_s > now_s}
        while len(self._kept) >= MAX_TOKENS:
            del self._kept[next(iter(self._kept))]
        margin_s = min(token.life_s * _MARGIN_SHARE, _LONGEST_MARGIN_S)
        self._kept[key] = _Kept(token, now_s + token.life_s - margin_s)

    def drop(self, value: str) -> None:
        """Forget a token that the registry refused."""
        self._kept = {k: kept for k, kept in self._kept.items() if kept.token.value != value}


class _Flight:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.waiting = 0
        self.finished = 0
        self.token: Token | None = None
        self.error: OCIError | None = None


class SingleFlight:
    """Lets the first of those who want the same token fetch it for all.

    If the one who fetches is cancelled, the next takes over; if it fails, all who waited fail.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight] = {}

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[Token]]) -> Token:
        """Return what `fetch` returns, called by one of the tasks that are here at the time."""
        flight = self._flights.setdefault(key, _Flight())
        flight.waiting += 1
        seen = flight.finished
        try:
            async with flight.lock:
                if flight.finished == seen:
                    await self._fetch(flight, fetch)
                if flight.error is not None:
                    raise copy.copy(flight.error) from flight.error.__cause__
                if flight.token is None:
                    raise AssertionError
                return flight.token
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                del self._flights[key]

    async def _fetch(self, flight: _Flight, fetch: Callable[[], Awaitable[Token]]) -> None:
        flight.token = flight.error = None
        try:
            flight.token = await fetch()
        except OCIError as error:
            flight.error = error
        flight.finished += 1
