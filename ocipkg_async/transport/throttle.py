"""Connection slots and pauses for each host: how many requests run at once, and who is next.

Two pools, because an upload may read its body from the same host: were both to wait in one pool,
uploads could hold every slot that their own downloads need. Among what is not an upload, some
slots are kept from bulk downloads, so that small requests never wait behind a gigabyte.
"""

import random
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

import anyio

from .backoff import BackOff
from .retry import RetryPolicy
from .urls import Origin

_MAX_HOSTS = 1000
"""Hosts that are remembered while nothing is sent to them: a registry may redirect to any number."""


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
    def __init__(self, per_host: int, back_off: BackOff) -> None:
        self.slots = Slots(per_host)
        self.queues: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self.back_off = back_off
        self.asked_not_before_s = 0.0

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
    """Slots and pauses of all hosts of one client.

    Args:
        per_host: requests at once.
        policy: how long pauses are.
        clock: seconds; for tests.
        rng: for tests.
    """

    def __init__(
        self,
        per_host: int,
        *,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._per_host = per_host
        self._policy = policy or RetryPolicy()
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._hosts: dict[Origin, _Host] = {}

    async def acquire(self, origin: Origin, lane: Lane) -> Slot:
        """Wait for a slot of a host."""
        host = self._host(origin)
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
        if host.slots.idle and self._forgettable(host):
            del self._hosts[origin]

    def _host(self, origin: Origin) -> _Host:
        host = self._hosts.get(origin)
        if host is None:
            if len(self._hosts) >= _MAX_HOSTS:
                self._forget_one()
            host = self._hosts[origin] = _Host(self._per_host, BackOff(self._policy, rng=self._rng))
        return host

    def _forget_one(self) -> None:
        """Forget the idle host that was met first, of those without a pause if there is one."""
        idle = [origin for origin, host in self._hosts.items() if host.slots.idle]
        paused = [origin for origin in idle if self.pause_left_s(origin)]
        for origin in [*(one for one in idle if one not in paused), *paused][:1]:
            del self._hosts[origin]

    def _forgettable(self, host: _Host) -> bool:
        now_s = self._clock()
        return host.asked_not_before_s <= now_s and host.back_off.forgettable(now_s)

    def pause(self, origin: Origin, wait_s: float) -> None:
        """Let no new request to a host begin for a while: it asked so for all of us."""
        host = self._host(origin)
        host.asked_not_before_s = max(host.asked_not_before_s, self._clock() + wait_s)

    def asked_left_s(self, origin: Origin) -> float:
        """Seconds until a request may begin to a host that asked to be left alone."""
        host = self._hosts.get(origin)
        return 0.0 if host is None else max(0.0, host.asked_not_before_s - self._clock())

    def pause_left_s(self, origin: Origin) -> float:
        """Seconds until a request to a host may begin, for what it asked and for what it failed."""
        host = self._hosts.get(origin)
        if host is None:
            return 0.0
        return max(self.asked_left_s(origin), host.back_off.left_s(self._clock()))

    def failed(self, origin: Origin, *, begun_s: float, refused: bool = False) -> None:
        """Count a failure of a host, for all that follow.

        Args:
            origin: the host.
            begun_s: when the request was sent, on the clock of this.
            refused: nothing listens there.
        """
        now_s = self._clock()
        self._host(origin).back_off.failed(begun_s=begun_s, now_s=now_s, refused=refused)

    def succeeded(self, origin: Origin, *, begun_s: float) -> None:
        """Count an answer of a host that is well."""
        host = self._hosts.get(origin)
        if host is not None:
            host.back_off.succeeded(begun_s=begun_s)
