"""How long one host is left alone after failures, by everybody who shares a client (D-05)."""

import random

from .retry import RetryPolicy

FORGET_S = 120.0
"""Failures that long ago say nothing about now: then the pauses begin at the shortest again."""
_MAX_LEVEL = 60


class BackOff:
    """The pauses of one host: each failure doubles the next one, each success halves it.

    Without I/O and without a clock of its own. What was on its way when the host failed says
    nothing new, however it ends: sixteen connections that break together are one failure.
    """

    def __init__(self, policy: RetryPolicy, *, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._level = 0
        self._failed_s = float("-inf")
        self._not_before_s = 0.0

    def failed(self, *, begun_s: float, now_s: float, refused: bool = False) -> None:
        """Count a failure.

        Args:
            begun_s: when the request was sent.
            now_s: the time.
            refused: nothing listens; the pauses stay as short as the tries that follow are few.
        """
        if begun_s < self._failed_s:
            return
        if now_s - self._failed_s > FORGET_S:
            self._level = 0
        self._failed_s = now_s
        most = self._policy.refused_attempts if refused else _MAX_LEVEL
        if self._level < most and self._ceiling_s() < self._policy.longest_wait_s:
            self._level += 1
        self._not_before_s = now_s + self._rng.uniform(0.0, self._ceiling_s())

    def succeeded(self, *, begun_s: float) -> None:
        """Count a request that was answered as it should be."""
        if begun_s >= self._failed_s:
            self._level = max(0, self._level - 1)

    def _ceiling_s(self) -> float:
        if not self._level:
            return 0.0
        return min(
            self._policy.longest_wait_s, self._policy.first_wait_s * 2.0 ** (self._level - 1)
        )

    def left_s(self, now_s: float) -> float:
        """Return the seconds until a new request may be sent."""
        return max(0.0, self._not_before_s - now_s)

    def forgettable(self, now_s: float) -> bool:
        """Whether there is nothing to remember."""
        return not self._level or now_s - self._failed_s > FORGET_S
