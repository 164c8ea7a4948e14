import random

import anyio
import pytest

from ocipkg_async.content import BytesSource
from ocipkg_async.transport import Request, RetryPolicy, TransportOptions
from ocipkg_async.transport.operation import lane_of
from ocipkg_async.transport.throttle import Lane, Slots, Throttle
from ocipkg_async.transport.urls import origin_of

HOST = origin_of("https://r.example/")
OTHER = origin_of("https://s.example/")


def taken(slots: Slots, lane: Lane) -> int:
    count = 0
    while slots.take(lane):
        count += 1
    return count


def test_bulk_downloads_leave_slots_to_small_requests() -> None:
    slots = Slots(16)
    assert taken(slots, Lane.DOWNLOAD) == 14
    assert taken(slots, Lane.SMALL) == 2
    assert taken(slots, Lane.UPLOAD) == 16


def test_small_requests_may_use_every_slot() -> None:
    slots = Slots(4)
    assert taken(slots, Lane.SMALL) == 4
    assert taken(slots, Lane.DOWNLOAD) == 0
    slots.give(Lane.SMALL)
    assert taken(slots, Lane.DOWNLOAD) == 1


def test_one_slot_serves_all_kinds() -> None:
    for lane in Lane:
        assert taken(Slots(1), lane) == 1


@pytest.mark.parametrize(
    ("request_", "lane"),
    [
        (Request(method="GET", url="https://r/v2/a/manifests/v1", registry="r"), Lane.SMALL),
        (Request(method="HEAD", url="https://r/v2/a/blobs/sha256:0", registry="r"), Lane.SMALL),
        (Request(method="GET", url="https://r/v2/a/blobs/sha256:0", registry="r"), Lane.DOWNLOAD),
        (Request(method="GET", url="https://r/v2/a/blobs/uploads/1", registry="r"), Lane.SMALL),
        (Request(method="GET", url="https://r/x", registry="r", bulk=True), Lane.DOWNLOAD),
        (Request(method="PUT", url="https://r/x", registry="r", body=b"x"), Lane.SMALL),
        (Request(method="PUT", url="https://r/x", registry="r", body=bytes(1 << 20)), Lane.UPLOAD),
        (Request(method="PUT", url="https://r/x", registry="r", body=BytesSource(b"")), Lane.UPLOAD),
    ],
)  # fmt: skip
def test_what_uses_which_slots(request_: Request, lane: Lane) -> None:
    assert lane_of(request_) is lane


async def test_waiting_requests_get_slots_in_their_order_and_small_ones_first() -> None:
    throttle = Throttle(2)
    order: list[str] = []

    async def use(name: str, lane: Lane) -> None:
        slot = await throttle.acquire(HOST, lane)
        order.append(name)
        slot.release()

    held = [await throttle.acquire(HOST, Lane.SMALL) for _ in range(2)]
    async with anyio.create_task_group() as group:
        for name, lane in (
            ("bulk 1", Lane.DOWNLOAD),
            ("bulk 2", Lane.DOWNLOAD),
            ("small 1", Lane.SMALL),
            ("small 2", Lane.SMALL),
        ):
            group.start_soon(use, name, lane)
            await anyio.wait_all_tasks_blocked()
        other = await throttle.acquire(OTHER, Lane.SMALL)
        other.release()
        assert order == []
        held[0].release()
        held[0].release()
        await anyio.wait_all_tasks_blocked()
    assert order[0] == "small 1"
    assert order.index("bulk 1") < order.index("bulk 2")
    assert order.index("small 1") < order.index("small 2")
    held[1].release()


async def test_a_cancelled_wait_passes_its_slot_on() -> None:
    throttle = Throttle(1)
    got: list[int] = []

    async def use(number: int) -> None:
        slot = await throttle.acquire(HOST, Lane.SMALL)
        got.append(number)
        slot.release()

    held = await throttle.acquire(HOST, Lane.SMALL)
    async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
        inner.start_soon(use, 1)
        await anyio.wait_all_tasks_blocked()
        outer.start_soon(use, 2)
        await anyio.wait_all_tasks_blocked()
        held.release()  # granted to 1 in this very moment
        inner.cancel_scope.cancel()
    assert 2 in got
    again = await throttle.acquire(HOST, Lane.SMALL)
    again.release()


async def test_uploads_that_read_from_the_same_host_do_not_block_each_other() -> None:
    throttle = Throttle(2)
    done: list[int] = []

    async def copy(number: int) -> None:
        up = await throttle.acquire(HOST, Lane.UPLOAD)
        await anyio.lowlevel.checkpoint()
        down = await throttle.acquire(HOST, Lane.DOWNLOAD)
        await anyio.lowlevel.checkpoint()
        down.release()
        up.release()
        done.append(number)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(copy, number)
    assert sorted(done) == list(range(20))


def test_a_pause_lasts_as_long_as_the_longest_that_was_asked_for() -> None:
    now = [100.0]
    throttle = Throttle(2, clock=lambda: now[0])
    assert throttle.pause_left_s(HOST) == 0
    throttle.pause(HOST, 10)
    throttle.pause(HOST, 5)
    assert throttle.pause_left_s(HOST) == 10
    assert throttle.pause_left_s(OTHER) == 0
    now[0] += 11
    assert throttle.pause_left_s(HOST) == 0


def test_sixteen_downloads_fit_beside_small_requests() -> None:
    slots = Slots(TransportOptions().connections_per_host)
    assert taken(slots, Lane.DOWNLOAD) == 16
    assert taken(slots, Lane.SMALL) == 2


class Longest(random.Random):
    """Draws the longest wait always."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


async def test_failures_of_a_host_are_remembered_while_nothing_is_sent_to_it() -> None:
    now = [100.0]
    policy = RetryPolicy(first_wait_s=1, longest_wait_s=30)
    throttle = Throttle(2, policy=policy, clock=lambda: now[0], rng=Longest())
    for pause_s in (1, 2, 4):
        (await throttle.acquire(HOST, Lane.SMALL)).release()
        throttle.failed(HOST, begun_s=now[0])
        (await throttle.acquire(HOST, Lane.SMALL)).release()
        assert throttle.pause_left_s(HOST) == pause_s
        assert throttle.pause_left_s(OTHER) == 0
        now[0] += pause_s
    throttle.succeeded(HOST, begun_s=now[0])
    throttle.failed(HOST, begun_s=now[0])
    assert throttle.pause_left_s(HOST) == 4


def test_the_longer_of_both_pauses_counts_not_their_sum() -> None:
    now = [100.0]
    policy = RetryPolicy(first_wait_s=5, longest_wait_s=30)
    throttle = Throttle(2, policy=policy, clock=lambda: now[0], rng=Longest())
    throttle.failed(HOST, begun_s=100)
    throttle.pause(HOST, 3)
    assert throttle.pause_left_s(HOST) == 5
    assert throttle.asked_left_s(HOST) == 3
    throttle.pause(HOST, 8)
    assert throttle.pause_left_s(HOST) == 8


async def test_the_hosts_that_are_remembered_are_bounded() -> None:
    now = [100.0]
    throttle = Throttle(1, clock=lambda: now[0], rng=Longest())
    throttle.pause(HOST, 60)
    held = await throttle.acquire(OTHER, Lane.SMALL)
    for number in range(2000):
        throttle.failed(origin_of(f"https://h{number}.example/"), begun_s=now[0])
        now[0] += 10
        if number == 2:
            # Both are among the first that were met; one asked for time, one is in use.
            assert throttle.pause_left_s(HOST) == 30
    assert len(throttle._hosts) <= 1000
    held.release()
    assert throttle.pause_left_s(origin_of("https://h1999.example/")) == 0
