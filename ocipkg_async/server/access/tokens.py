"""Tokens that the registry gave out, in memory and for a while."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from ...transport.auth.scope import Scope

MAX_KEPT = 20_000
"""Tokens and their scopes, together: a few hundred bytes each. Clients keep a token for each
repository; when there are more, the oldest ends early, and its client asks for another."""
_TOKEN_BYTES = 32
"""Cannot be guessed; its text is 43 letters long."""


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a token stands for.

    Attributes:
        name: the user, or None.
        stamp: of the user's password when the token was made; another password ends it.
        scopes: what it is good for.
        uses: with how many requests it came.
    """

    name: str | None
    stamp: bytes | None
    scopes: tuple[Scope, ...] = ()
    uses: int = 0


class Pool:
    """A bounded number of tokens that live equally long. It keeps digests, so that it shows none."""

    def __init__(
        self, *, clock: Callable[[], float], lifetime_s: float, max_kept: int = MAX_KEPT
    ) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._max_kept = max_kept
        self._size = 0
        self._kept: dict[bytes, tuple[float, Grant]] = {}

    def issue(self, grant: Grant) -> str:
        """Return a new token."""
        self._size += _size(grant)
        while self._kept and (self._size > self._max_kept or self._oldest_has_ended()):
            _, oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= _size(oldest)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._kept[_key(token)] = (self._clock() + self._lifetime_s, grant)
        return token

    def find(self, token: str) -> Grant | None:
        """Return what a token stands for, or None: it has ended, or never was."""
        until_s, grant = self._kept.get(_key(token), (0.0, None))
        return grant if until_s > self._clock() else None

    def _oldest_has_ended(self) -> bool:
        until_s, _ = next(iter(self._kept.values()))
        return until_s <= self._clock()


class Tokens:
    """All tokens of one registry. Those of nobody in particular cannot drive out those of users."""

    def __init__(self, *, clock: Callable[[], float], lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self._anonymous = Pool(clock=clock, lifetime_s=lifetime_s)
        self._known = Pool(clock=clock, lifetime_s=lifetime_s)
        self._refresh = Pool(clock=clock, lifetime_s=float("inf"))

    def issue(self, grant: Grant) -> str:
        """Return a new token for requests."""
        return (self._anonymous if grant.name is None else self._known).issue(grant)

    def find(self, token: str) -> Grant | None:
        """Return what a token for requests stands for, or None."""
        return self._known.find(token) or self._anonymous.find(token)

    def issue_refresh(self, grant: Grant) -> str:
        """Return a token to get others with, in place of a password."""
        return self._refresh.issue(grant)

    def find_refresh(self, token: str) -> Grant | None:
        """Return whom such a token stands for, or None."""
        return self._refresh.find(token)


def _size(grant: Grant) -> int:
    return 1 + len(grant.scopes)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
