"""A cap on the bytes per second of one client, one direction: a token bucket."""

import time
from collections.abc import Awaitable, Callable

import anyio

_PIECES_PER_S = 10
_LEAST_PIECE_BYTES = 4 << 10
"""Smaller pieces cost more than the smoother rate is worth."""


class TokenBucket:
    """Says how long each who takes has to wait, in the order in which they take.

    Without I/O and without a clock of its own. A bucket that nobody takes from fills with one
    piece and no more, so a pause is not made up for by a burst.

    Attributes:
        piece_bytes: what to take at once at most, for a smooth rate.
    """

    def __init__(self, bytes_per_s: int) -> None:
        self.piece_bytes = max(_LEAST_PIECE_BYTES, bytes_per_s // _PIECES_PER_S)
        self._bytes_per_s = bytes_per_s
        self._paid_until_s = float("-inf")

    def take(self, length: int, *, now_s: float) -> float:
        """Take tokens, also those that are still to come; return the seconds until they are there."""
        full_s = now_s - self.piece_bytes / self._bytes_per_s
        self._paid_until_s = max(self._paid_until_s, full_s) + length / self._bytes_per_s
        return max(0.0, self._paid_until_s - now_s)

    def give(self, length: int) -> None:
        """Give back tokens that were taken and not used."""
        self._paid_until_s -= length / self._bytes_per_s


class RateLimit:
    """A token bucket to wait at, shared by all connections of a client.

    Args:
        bytes_per_s: the cap, at least 1.
        clock: seconds; for tests.
        sleep: waits; for tests.

    Attributes:
        piece_bytes: what to take at once at most.
    """

    def __init__(
        self,
        bytes_per_s: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._bucket = TokenBucket(bytes_per_s)
        self._clock = clock
        self._sleep = sleep
        self.piece_bytes = self._bucket.piece_bytes

    async def take(self, length: int) -> None:
        """Wait until bytes may be moved. Cancelled, it leaves them to others."""
        wait_s = self._bucket.take(length, now_s=self._clock())
        if not wait_s:
            return
        try:
            await self._sleep(wait_s)
        except BaseException:
            self._bucket.give(length)
            raise
