"""How far one piece of content is and how fast, on a clock of the test's."""

import pytest

from ocipkg_async.content import Meter
from ocipkg_async.events import Event, Finished, Progressed, Started
from ocipkg_async.spec import Descriptor

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Told:
    """A meter and what it tells."""

    def __init__(self, total: int | None) -> None:
        self.events: list[Event] = []
        self.clock = Clock()
        self.meter = Meter(self.events.append, name="x", total=total, clock=self.clock)

    @property
    def progress(self) -> list[Progressed]:
        return [event for event in self.events if isinstance(event, Progressed)]

    @property
    def done(self) -> list[int]:
        return [event.done for event in self.progress]

    def move(self, length: int, *, seconds: float = 0.0) -> None:
        self.clock.now_s += seconds
        self.meter.advance(length)


def test_the_first_and_the_last_bytes_are_told() -> None:
    told = Told(300)
    told.meter.started()
    for _ in range(3):
        told.move(100)
    told.meter.finished()
    assert told.done == [100, 300]
    assert isinstance(told.events[0], Started)
    assert isinstance(told.events[-1], Finished)
    assert told.events[-1].done == 300


def test_between_them_each_megabyte_is_told() -> None:
    told = Told(100 * MIB)
    for _ in range(400):
        told.move(MIB // 4)
    assert told.done[:3] == [MIB // 4, 5 * MIB // 4, 9 * MIB // 4]
    assert len(told.done) <= 102
    assert told.done[-1] == 100 * MIB


def test_and_what_comes_slowly_twenty_times_a_second() -> None:
    told = Told(10_000)
    for _ in range(1000):
        told.move(1, seconds=0.01)
    assert 150 <= len(told.done) <= 201


def test_the_rate_is_that_of_the_last_seconds() -> None:
    told = Told(None)
    for _ in range(100):
        told.move(1000, seconds=0.1)
    assert told.progress[-1].rate_bytes_per_s == pytest.approx(10_000)
    for _ in range(40):
        told.move(50, seconds=0.1)
    assert told.progress[-1].rate_bytes_per_s == pytest.approx(500)
    assert told.meter.rate_bytes_per_s == pytest.approx(500)


def test_what_was_there_before_is_no_speed() -> None:
    told = Told(100_000)
    told.meter.stand(90_000)
    assert told.progress[-1].rate_bytes_per_s == 0
    told.move(1000, seconds=1)
    assert told.done == [90_000, 91_000]
    assert told.progress[-1].rate_bytes_per_s == pytest.approx(1000)
    assert [event.moved for event in told.progress] == [0, 1000]


def test_progress_falls_back_when_it_starts_again_and_what_was_moved_does_not() -> None:
    told = Told(300)
    told.move(200)
    told.meter.stand(0)
    told.meter.stand(0)
    told.move(100)
    assert told.done == [200, 0, 100]
    assert [event.moved for event in told.progress] == [200, 200, 300]


def test_connections_and_retries_are_told() -> None:
    told = Told(2 * MIB)
    told.meter.connections = 4
    told.meter.retries += 1
    told.move(MIB)
    assert (told.progress[0].connections, told.progress[0].retries) == (4, 1)


def test_content_is_named_by_its_title_or_its_digest() -> None:
    events: list[Event] = []
    descriptor = Descriptor.of(b"abc", "a/b")
    Meter(events.append, action="copy", descriptor=descriptor).advance(3)
    (event,) = events
    assert isinstance(event, Progressed)
    assert (event.action, event.name, event.total) == ("copy", descriptor.digest.short, 3)
