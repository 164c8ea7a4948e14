"""How many connections are used: what a simulated line gives decides, not the number asked for."""

import itertools
from collections.abc import Callable

import pytest

from ocipkg_async.registry.download.pace import (
    FAST_BYTES_PER_S,
    FIRST_STEP_BYTES,
    LIMIT,
    LOOK_S,
    START,
    STEP_EVERY_S,
    Pace,
)

MIB = 1 << 20
TICK_S = 0.25


def drive(pace: Pace, rate: Callable[[int], float], *, seconds: float) -> list[int]:
    """Let a line give `rate(connections)` bytes a second; return the numbers used at each tick."""
    used = []
    now_s = 100.0
    for _ in range(int(seconds / TICK_S)):
        pace.adjust(now_s, active=pace.target)
        used.append(pace.target)
        pace.moved(int(rate(pace.target) * TICK_S))
        now_s += TICK_S
    return used


def test_a_cap_for_each_connection_is_met_with_all_connections() -> None:
    used = drive(Pace(), lambda n: n * 24 * MIB, seconds=10)
    assert used[0] == START
    assert used[-1] == LIMIT


def test_it_stops_where_the_line_is_full() -> None:
    used = drive(Pace(), lambda n: min(n * 30 * MIB, 240 * MIB), seconds=60)
    assert min(used[-40:]) >= 6
    assert sum(used[-40:]) / 40 < LIMIT


def test_one_connection_is_used_where_more_bring_nothing() -> None:
    used = drive(Pace(), lambda _: 500 * MIB, seconds=30)
    assert used[-8:] == [1] * 8 or sum(used[-40:]) / 40 < START


def test_fewer_are_used_where_more_bring_less() -> None:
    used = drive(Pace(), lambda n: 500 * MIB / n, seconds=30)
    assert sum(used[-20:]) / 20 < 2


def test_nothing_changes_in_the_first_megabytes_nor_faster_than_a_step_allows() -> None:
    pace = Pace()
    used = drive(pace, lambda n: n * 24 * MIB, seconds=20)
    ticks = int(STEP_EVERY_S / TICK_S)
    changes = [i for i in range(1, len(used)) if used[i] != used[i - 1]]
    assert changes
    assert all(later - earlier >= ticks for earlier, later in itertools.pairwise(changes))
    assert sum(used[: changes[0]]) * 24 * MIB * TICK_S >= FIRST_STEP_BYTES


def test_a_number_that_was_asked_for_stays() -> None:
    assert set(drive(Pace(fixed=8), lambda n: n * 24 * MIB, seconds=20)) == {8}
    assert set(drive(Pace(fixed=8), lambda _: 24 * MIB, seconds=20)) == {8}


@pytest.mark.parametrize("fixed", [None, 8])
def test_a_refusal_leaves_one_connection_for_good(fixed: int | None) -> None:
    pace = Pace(fixed=fixed)
    pace.fewer(100.0, least=True)
    assert set(drive(pace, lambda n: n * 24 * MIB, seconds=20)) == {1}


def test_a_break_takes_one_away_and_a_good_line_wins_it_back() -> None:
    pace = Pace()
    for _ in range(10):
        pace.fewer(100.0)
    assert pace.target == 1
    assert drive(pace, lambda n: n * 24 * MIB, seconds=60)[-1] == LIMIT


def test_nothing_is_learnt_while_fewer_connections_are_open_than_wanted() -> None:
    pace = Pace()
    now_s = 0.0
    for _ in range(100):
        pace.adjust(now_s, active=1)
        pace.moved(10 * MIB)
        now_s += TICK_S
    assert pace.target == START


def begin(pace: Pace, rate: float) -> int:
    """Let the first connection bring `rate` bytes a second; return how many there are then."""
    assert pace.allowed(100.0) == 1, "the first is looked at alone"
    pace.moved(int(rate * LOOK_S))
    return pace.allowed(100.001 + LOOK_S)


def test_a_first_connection_that_is_fast_enough_stays_alone() -> None:
    assert begin(Pace(), FAST_BYTES_PER_S * 1.1) == 1
    assert begin(Pace(), FAST_BYTES_PER_S * 0.9) == START


def test_a_number_that_was_asked_for_is_not_waited_with() -> None:
    assert Pace(fixed=8).allowed(100.0) == 8


def test_connections_that_breaks_took_away_come_back_where_a_number_was_asked_for() -> None:
    """Three resets in the first seconds of a download of hours leave it one connection for a while."""
    pace = Pace(fixed=4)
    for second in range(3):
        pace.fewer(float(second))
    assert pace.target == 1
    used = []
    for second in range(3, 60):
        pace.adjust(float(second), active=pace.target)
        used.append(pace.target)
    assert used == sorted(used)
    assert used[-1] == 4
