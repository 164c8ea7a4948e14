"""Which stretches are fetched, and what answers mean, with plain values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import ProtocolError
from ocipkg_async.registry.download.pace import Pace
from ocipkg_async.registry.download.plan import (
    CRAWL_S,
    LAST_PART_BYTES,
    PART_BYTES,
    SLOW_AFTER_S,
    STALL_S,
    Part,
    RangePlan,
    check_content_range,
)

MIB = 1 << 20
LEAST, LARGEST = PART_BYTES


def plan(
    size: int,
    *,
    connections: int = 4,
    part_bytes: int | None = None,
    done: tuple[tuple[int, int], ...] = (),
) -> RangePlan:
    return RangePlan(size, done=done, pace=Pace(fixed=connections), part_bytes=part_bytes)


def answer(part: Part, size: int, **changed: str | None) -> dict[str, str | None]:
    headers: dict[str, str | None] = {
        "Content-Range": f"bytes {part.at}-{part.stop - 1}/{size}",
        "Content-Length": str(part.stop - part.at),
        "ETag": '"a"',
    }
    return headers | {key.replace("_", "-"): value for key, value in changed.items()}


def proven(size: int, **options: Any) -> tuple[RangePlan, Part]:
    """A plan whose probe was answered."""
    made = plan(size, **options)
    probe = made.take(now_s=0.0)
    assert probe is not None
    assert made.answered(probe, 206, answer(probe, size), now_s=0.0) == "take"
    return made, probe


def take_all(made: RangePlan) -> list[Part]:
    parts = []
    while (part := made.take(now_s=0.0)) is not None:
        parts.append(part)
    return parts


def finish(made: RangePlan, part: Part, now_s: float = 0.0) -> None:
    made.moved(part, part.stop - part.at, now_s=now_s)
    made.received(part)
    made.left(part)


def test_the_first_range_is_the_probe() -> None:
    made = plan(100 * MIB)
    probe = made.take(now_s=0.0)
    assert probe is not None
    assert made.take(now_s=0.0) is None, "nobody knows yet whether ranges work"
    made.answered(probe, 206, answer(probe, 100 * MIB), now_s=0.0)
    assert len(take_all(made)) == 3


def test_parts_have_8_to_16_mib_and_shrink_towards_the_end() -> None:
    made, probe = proven(64 * MIB)
    assert probe.stop == LEAST
    large = plan(10 << 30).take(now_s=0.0)
    assert large is not None
    assert large.stop == LARGEST
    lengths = [probe.stop]
    finish(made, probe)
    while (part := made.take(now_s=0.0)) is not None:
        lengths.append(part.stop - part.start)
        finish(made, part)
    assert sum(lengths) == 64 * MIB
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-2] == LAST_PART_BYTES


@given(
    size=st.integers(1, 5000),
    part_bytes=st.integers(1, 700),
    connections=st.integers(1, 16),
    cuts=st.lists(st.integers(0, 5000), max_size=8),
    rolls=st.lists(st.integers(0, 1000), min_size=1, max_size=60),
)
def test_every_byte_is_fetched_once_whatever_breaks(
    size: int, part_bytes: int, connections: int, cuts: list[int], rolls: list[int]
) -> None:
    edges = sorted(min(cut, size) for cut in cuts)
    done = tuple((a, b) for a, b in zip(edges[::2], edges[1::2], strict=False) if a < b)
    done = tuple(one for i, one in enumerate(done) if not i or one[0] > done[i - 1][1])
    made = plan(size, connections=connections, part_bytes=part_bytes, done=done)
    fetched = [0] * size
    active: list[Part] = []
    turn = 0
    while not made.complete:
        while (part := made.take(now_s=0.0)) is not None:
            made.answered(part, 206, answer(part, size), now_s=0.0)
            active.append(part)
        assert len(active) == made.active <= connections
        roll = rolls[turn % len(rolls)] if turn < 400 else 1000
        turn += 1
        part = active.pop(roll % len(active))
        length = min(part.stop - part.at, roll)
        fetched[part.at : part.at + length] = [n + 1 for n in fetched[part.at : part.at + length]]
        made.moved(part, length, now_s=0.0)
        if part.at == part.stop:
            made.received(part)
        made.left(part)
    for start, stop in done:
        fetched[start:stop] = [n + 1 for n in fetched[start:stop]]
    assert fetched == [1] * size


def test_a_200_is_the_whole_blob() -> None:
    made = plan(100)
    probe = made.take(now_s=0.0)
    assert probe is not None
    assert made.answered(probe, 200, {}, now_s=0.0) == "whole"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": None},
        {"Content_Range": "bytes 0-99/101"},
        {"Content_Range": "bytes 1-100/100"},
        {"Content_Range": "bytes 0-98/100"},
        {"Content_Range": "bytes 0-99/*"},
        {"Content_Range": "bytes */100"},
        {"Content_Range": "items 0-99/100"},
        {"Content_Length": "101"},
        {"Content_Length": "x"},
    ],
)
def test_an_answer_that_brings_something_else_is_odd(headers: dict[str, str | None]) -> None:
    made = plan(100, connections=1, part_bytes=100)
    probe = made.take(now_s=0.0)
    assert probe is not None
    assert made.answered(probe, 206, answer(probe, 100, **headers), now_s=0.0) == "odd"


def test_a_length_that_is_not_told_is_no_fault() -> None:
    made = plan(100, connections=1, part_bytes=100)
    probe = made.take(now_s=0.0)
    assert probe is not None
    told = answer(probe, 100, Content_Length=None, ETag=None)
    assert made.answered(probe, 206, told, now_s=0.0) == "take"


@pytest.mark.parametrize(("first", "second"), [('"a"', '"b"'), ('"a"', None), ('"a"', 'W/"a"')])
def test_another_etag_is_odd(first: str, second: str | None) -> None:
    made = plan(100, part_bytes=10)
    one = made.take(now_s=0.0)
    assert one is not None
    assert made.answered(one, 206, answer(one, 100, ETag=first), now_s=0.0) == "take"
    two = made.take(now_s=0.0)
    assert two is not None
    assert made.answered(two, 206, answer(two, 100, ETag=second), now_s=0.0) == "odd"


def test_a_broken_part_goes_on_where_it_broke_before_others_begin() -> None:
    made, probe = proven(100, connections=2, part_bytes=10)
    made.moved(probe, 4, now_s=1.0)
    made.left(probe)
    again = made.take(now_s=0.0)
    assert again is not None
    assert (again.at, again.stop) == (4, 10)


def test_a_reader_in_memory_keeps_parts_near() -> None:
    made, _ = proven(100, part_bytes=10)
    second = made.take(now_s=0.0, below=20)
    assert second is not None
    assert made.take(now_s=0.0, below=20) is None
    assert made.take(now_s=0.0, below=21) is not None


def test_a_received_part_frees_its_connection_and_is_not_complete() -> None:
    made, probe = proven(10, connections=1, part_bytes=5)
    assert made.take(now_s=0.0) is None
    made.received(probe)
    last = made.take(now_s=0.0)
    assert last is not None
    made.answered(last, 206, answer(last, 10), now_s=0.0)
    finish(made, last)
    assert not made.complete
    made.moved(probe, 5, now_s=0.0)
    made.left(probe)
    assert made.complete


def test_a_part_that_stands_still_while_others_move_is_given_up() -> None:
    made, still = proven(100 * MIB)
    others = take_all(made)
    for part in others:
        made.answered(part, 206, answer(part, 100 * MIB), now_s=0.0)
    for part in (still, *others):
        made.moved(part, MIB, now_s=0.1)
    for part in others:
        made.moved(part, MIB, now_s=STALL_S / 4)
    assert made.stalled(STALL_S / 4) == []
    for part in others:
        made.moved(part, MIB, now_s=STALL_S + 1)
    assert made.stalled(STALL_S + 1) == [still]


def test_nothing_is_given_up_while_the_whole_line_is_down() -> None:
    made, probe = proven(100 * MIB)
    for part in take_all(made):
        made.answered(part, 206, answer(part, 100 * MIB), now_s=0.0)
        made.moved(part, MIB, now_s=1.0)
    made.moved(probe, MIB, now_s=1.0)
    assert made.stalled(1.0 + 10 * STALL_S) == []


def test_a_part_far_slower_than_the_median_is_given_up() -> None:
    made, slow = proven(1000 * MIB)
    parts = take_all(made)
    for part in parts:
        made.answered(part, 206, answer(part, 1000 * MIB), now_s=0.0)
    now_s = SLOW_AFTER_S + 1
    for part in parts:
        made.moved(part, 10 * MIB, now_s=now_s)
    made.moved(slow, 900_000, now_s=now_s)
    assert made.stalled(now_s) == [slow]
    made.moved(slow, MIB, now_s=now_s)
    assert made.stalled(now_s) == []


def test_what_was_not_answered_is_not_judged() -> None:
    made, probe = proven(100 * MIB)
    take_all(made)
    made.moved(probe, MIB, now_s=STALL_S * 3)
    assert made.stalled(STALL_S * 3) == []


def test_a_drip_is_noticed() -> None:
    made, probe = proven(100 * MIB, connections=1)
    now_s = 0.0
    found = []
    while now_s < CRAWL_S + 2:
        found.append(made.crawls(now_s))
        made.moved(probe, 100, now_s=now_s)
        now_s += 1
    assert sum(found) == 1
    for _ in range(100):
        made.moved(probe, 2000, now_s=now_s)
        assert not made.crawls(now_s)
        now_s += 1


@pytest.mark.parametrize("value", ["bytes 5-9/10", " bytes 5-9/10 "])
def test_d32_the_right_content_range(value: str) -> None:
    check_content_range(value, first=5, last=9, size=10)


@pytest.mark.parametrize(
    "value", [None, "", "bytes 5-9/11", "bytes 4-9/10", "bytes 5-8/10", "bytes 5-9/*"]
)
def test_d32_any_other_content_range(value: str | None) -> None:
    with pytest.raises(ProtocolError):
        check_content_range(value, first=5, last=9, size=10)


def test_a_part_knows_whether_others_were_fetched_since_it_was_asked_for() -> None:
    made, probe = proven(100 * MIB)
    made.ask(probe)
    assert not probe.beside
    others = take_all(made)
    for part in others:
        made.ask(part)
    for part in (probe, *others[:-1]):
        finish(made, part)
    late = others[-1]
    assert made.active == 1
    assert late.beside
    made.ask(late)
    assert not late.beside
