"""How many connections one blob is fetched over: measured, not assumed. No I/O, no clock.

The idea is that of hf_xet's controller: more connections are kept only where they brought more,
since each costs processor time here and a server's goodwill there. It climbs in steps, compares
the rate after a step with the rate before, and steps back where the gain was not worth it.
"""

from collections.abc import Callable

START = 4
"""Connections at first: what most servers allow, and enough to see whether more may pay."""
LIMIT = 16
FAST_BYTES_PER_S = 300 << 20
"""One connection that brings this is not held back by the line: more would only cost work here."""
LOOK_S = 0.05
"""How long the first connection runs alone, to see whether it is as fast as that."""
STEP_EVERY_S = 0.5
"""Rates of shorter stretches say more about buffers than about the line."""
FIRST_STEP_BYTES = 20 << 20
"""Nothing is changed before: the first megabytes tell of slow starts and cold caches."""
GAIN = 0.3
"""Share of a proportional gain that a step up must bring to be kept."""
LOSS = 0.1
"""Share of the rate that a step down may lose and still be kept: the same for less work."""
HOLD_S = 5.0
"""How long a result stands before the next try in the same direction; it doubles each time."""


class Pace:
    """The number of connections to use now.

    Args:
        fixed: a number that was asked for; it is never passed, and left only for a while after
            breaks, for good after refusals.
        start: how many at first where none was asked for.
        limit: how many at most.
    """

    def __init__(self, *, fixed: int | None = None, start: int = START, limit: int = LIMIT) -> None:
        self.target = fixed if fixed is not None else min(start, limit)
        self._adapts = fixed is None and limit > 1
        self._limit = self.target if fixed is not None else limit
        self._looks = self._adapts
        self._first_s: float | None = None
        self._moved = 0
        self._since_s: float | None = None
        self._since_moved = 0
        self._before: tuple[int, float] | None = None
        self._hold_s = HOLD_S
        self._not_up_before_s = 0.0
        self._not_down_before_s = 0.0

    def allowed(self, now_s: float) -> int:
        """Return how many connections may be open now.

        Args:
            now_s: monotonic seconds.
        """
        if not self._looks:
            return self.target
        if self._first_s is None:
            self._first_s = now_s
        if now_s - self._first_s < LOOK_S:
            return 1
        self._looks = False
        if self._moved >= FAST_BYTES_PER_S * (now_s - self._first_s):
            self.target = 1
        return self.target

    def moved(self, length: int) -> None:
        """Count bytes that arrived."""
        self._moved += length

    def adjust(self, now_s: float, *, active: int) -> None:
        """Take a step, go back on one, or stay; meant to be called several times a second.

        Args:
            now_s: monotonic seconds.
            active: connections that are open; nothing is learnt while they are fewer than wanted.
        """
        if not self._adapts:
            if self.target < self._limit and now_s >= self._not_up_before_s:
                self.target += 1
                self._not_up_before_s = now_s + self._hold_s
            return
        if self._since_s is None or active < self.target:
            self._measure_from(now_s)
            return
        seconds = now_s - self._since_s
        if seconds < STEP_EVERY_S or self._moved < FIRST_STEP_BYTES:
            return
        rate = (self._moved - self._since_moved) / seconds
        self._measure_from(now_s)
        if self._before is not None:
            self._judge(rate, now_s)
        else:
            self._try(rate, now_s)

    def _judge(self, rate: float, now_s: float) -> None:
        """Compare the rate after a step with the rate before it."""
        before, rate_before = self._before or (self.target, rate)
        self._before = None
        up = self.target > before
        if up:
            worth = rate >= rate_before * (1 + GAIN * (self.target / before - 1))
        else:
            worth = rate >= rate_before * (1 - LOSS)
        if worth:
            self._try(rate, now_s, again=self._up if up else self._down)
            return
        self.target = before
        self._hold_s *= 2
        if up:
            self._not_up_before_s = now_s + self._hold_s
        else:
            self._not_down_before_s = now_s + self._hold_s

    def _try(
        self, rate: float, now_s: float, *, again: Callable[[float], int] | None = None
    ) -> None:
        """Take the next step: on in the same direction, else up, else down."""
        for step in (again, self._up, self._down):
            wanted = self.target if step is None else step(now_s)
            if wanted != self.target:
                self._before = (self.target, rate)
                self.target = wanted
                return

    def _up(self, now_s: float) -> int:
        if now_s < self._not_up_before_s:
            return self.target
        # Half as many again: a step of one among ten is lost in the noise.
        return min(self._limit, self.target + max(1, self.target // 2))

    def _down(self, now_s: float) -> int:
        return self.target if now_s < self._not_down_before_s else max(1, self.target // 2)

    def fewer(self, now_s: float, *, least: bool = False) -> None:
        """Use fewer connections: one was refused, broke or stalled, or the disk does not keep up.

        Args:
            now_s: monotonic seconds.
            least: use one alone from now on; the server does not want several.
        """
        self.target = 1 if least else max(1, self.target - 1)
        if least:
            self._limit, self._adapts = 1, False
        self._before = None
        self._not_up_before_s = max(self._not_up_before_s, now_s + self._hold_s)
        self._measure_from(now_s)

    def _measure_from(self, now_s: float) -> None:
        self._since_s, self._since_moved = now_s, self._moved
