"""How far one piece of content is, how fast, over how many connections: what `Progressed` tells."""

import time
from collections import deque
from collections.abc import Callable

from ..events import Action, Finished, OnEvent, Progressed, Started, ignore
from ..spec import Descriptor

_WINDOW_S = 3.0
"""The rate is that of the last seconds: the whole transfer's says nothing about now."""
_SAMPLE_S = 0.1
_TELL_S = 0.05
_TELL_BYTES = 1 << 20
"""Counting comes with every received piece and must cost next to nothing, an event costs more."""


class Meter:
    """Counts the bytes of one piece of content and reports them as events. Without I/O.

    The first bytes are told, then every megabyte or twentieth of a second, and the last.

    Attributes:
        done: bytes so far.
        connections: connections that bring it now; who moves the content keeps it right.
        retries: how often something of it was asked for again.
    """

    def __init__(
        self,
        on_event: OnEvent = ignore,
        *,
        action: Action = "download",
        descriptor: Descriptor | None = None,
        name: str = "",
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self.connections = 1
        self.retries = 0
        self._on_event = on_event
        self._action: Action = action
        self._descriptor = descriptor
        self._name = name or (descriptor.title or descriptor.digest.short if descriptor else "")
        self._total = descriptor.size if descriptor is not None and total is None else total
        self._clock = clock
        self._moved = 0
        now_s = clock()
        self._samples: deque[tuple[float, int]] = deque([(now_s, 0)])
        # From when on, in time or bytes, a sample is taken and an event is told.
        self._sample_s = now_s + _SAMPLE_S
        self._tell_s = now_s
        self._tell_at = 0

    @property
    def rate_bytes_per_s(self) -> float:
        """Bytes per second over the last seconds; what an earlier run left does not count."""
        return self._rate(self._clock())

    def _rate(self, now_s: float) -> float:
        first_s, first = self._samples[0]
        seconds = now_s - first_s
        return (self._moved - first) / seconds if seconds > 0 else 0.0

    def started(self) -> None:
        """It is about to be moved."""
        self._on_event(
            Started(
                action=self._action,
                descriptor=self._descriptor,
                name=self._name,
                total=self._total,
            )
        )

    def advance(self, length: int) -> None:
        """Count bytes that were moved."""
        self.done = done = self.done + length
        self._moved = moved = self._moved + length
        now_s = self._clock()
        if now_s >= self._sample_s:
            self._sample(now_s)
        if now_s >= self._tell_s or moved >= self._tell_at or done == self._total:
            self._tell(now_s)

    def _sample(self, now_s: float) -> None:
        self._sample_s = now_s + _SAMPLE_S
        self._samples.append((now_s, self._moved))
        while now_s - self._samples[0][0] > _WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()

    def stand(self, done: int) -> None:
        """Set what is there without having been moved now: left by an earlier run, or lost."""
        if done != self.done:
            self.done = done
            self._tell(self._clock())
            self._tell_at = self._moved

    def finished(self) -> None:
        """It is there, verified."""
        self._on_event(
            Finished(
                action=self._action,
                descriptor=self._descriptor,
                name=self._name,
                done=self._total if self._total is not None else self.done,
            )
        )

    def _tell(self, now_s: float) -> None:
        self._tell_s = now_s + _TELL_S
        self._tell_at = self._moved + _TELL_BYTES
        if self._on_event is ignore:
            return
        self._on_event(
            Progressed(
                action=self._action,
                descriptor=self._descriptor,
                name=self._name,
                done=self.done,
                total=self._total,
                rate_bytes_per_s=self._rate(now_s),
                connections=self.connections,
                retries=self.retries,
                moved=self._moved,
            )
        )
