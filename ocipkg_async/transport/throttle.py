"""Connection slots for each host: how many requests run at once, and who is next.

Two pools, because an upload may read its body from the same host: were both to wait in one pool,
uploads could hold every slot that their own downloads need. Among what is not an upload, some
slots are kept from bulk downloads, so that small requests never wait behind a gigabyte.
"""

import time
from collections import deque
from collections.abc import Callable
from enum import Enum

import anyio

from .urls import Origin


class Lane(Enum):
    """What kind of load a request is."""

    SMALL = "small"
    DOWNLOAD = "download"
    UPLOAD = "upload"


class Slots:
    """The slots of one host, counted. Without I/O."""

    def __init__(self, per_host: int) -> None:
        kept = 0 if per_host == 1 else max(1, per_host // 8)
        self._limits = {Lane.UPLOAD: per_host, Lane.DOWNLOAD: per_host - kept, Lane.SMALL: per_host}
        self._used = dict.fromkeys(Lane, 0)

    def take(self, lane: Lane) -> bool:
        """Take a slot if there is one."""
        used = self._used
        if used[lane] >= self._limits[lane]:
            return False
        shared = used[Lane.SMALL] + used[Lane.DOWNLOAD]
        if lane is not Lane.UPLOAD and shared >= self._limits[Lane.SMALL]:
            return False
        used[lane] += 1
        return True

    def give(self, lane: Lane) -> None:
        """Give a slot back."""
        self._used[lane] -= 1

    @property
    def idle(self) -> bool:
        """Whether none is taken."""
        return not any(self._used.values())


class _Waiter:
    def __init__(self) -> None:
        self.event = anyio.Event()
        self.granted = False


class _Host:
    def __init__(self, per_host: int) -> None:
        self.slots = Slots(per_host)
        self.queues: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self.not_before_s = 0.0

    def hand_out(self) -> None:
        """Give free slots to those who wait: small requests first, each kind in its order."""
        for lane in Lane:
            queue = self.queues[lane]
            while queue and self.slots.take(lane):
                waiter = queue.popleft()
                waiter.granted = True
                waiter.event.set()


class Slot:
    """A taken slot; `release` may be called twice."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the slot to whoever is next."""
        release, self._release = self._release, None
        if release is not None:
            release()


class Throttle:
    """Slots and pauses of all hosts of one client."""

    def __init__(self, per_host: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_host = per_host
        self._clock = clock
        self._hosts: dict[Origin, _Host] = {}

    async def acquire(self, origin: Origin, lane: Lane) -> Slot:
        """Wait for a slot of a host."""
        host = self._hosts.setdefault(origin, _Host(self._per_host))
        if host.queues[lane] or not host.slots.take(lane):
            await self._wait(host, lane)
        return Slot(lambda: self._give(origin, lane))

    async def _wait(self, host: _Host, lane: Lane) -> None:
        waiter = _Waiter()
        host.queues[lane].append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                host.slots.give(lane)
                host.hand_out()
            else:
                host.queues[lane].remove(waiter)
            raise

    def _give(self, origin: Origin, lane: Lane) -> None:
        host = self._hosts[origin]
        host.slots.give(lane)
        host.hand_out()
        if host.slots.idle and host.not_before_s <= self._clock():
            del self._hosts[origin]

    def pause(self, origin: Origin, wait_s: float) -> None:
        """Let no new request to a host begin for a while: it asked so for all of us."""
        host = self._hosts.setdefault(origin, _Host(self._per_host))
        host.not_before_s = max(host.not_before_s, self._clock() + wait_s)

    def pause_left_s(self, origin: Origin) -> float:
        """Seconds until a request to a host may begin."""
        host = self._hosts.get(origin)
        return 0.0 if host is None else max(0.0, host.not_before_s - self._clock())
