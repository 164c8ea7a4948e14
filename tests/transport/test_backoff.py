"""How long a host is left alone after failures, decided with plain values."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.transport import RetryPolicy
from ocipkg_async.transport.backoff import FORGET_S, BackOff

POLICY = RetryPolicy(first_wait_s=1, longest_wait_s=10)


class Longest(random.Random):
    """Draws the longest wait always."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


def pauses(back_off: BackOff, count: int, *, now_s: float = 100.0) -> list[float]:
    """Fail several times, each with a request that was sent when the pause was over."""
    found: list[float] = []
    for _ in range(count):
        back_off.failed(begun_s=now_s, now_s=now_s)
        found.append(back_off.left_s(now_s))
        now_s += found[-1]
    return found


def test_d05_each_failure_doubles_the_pause_up_to_the_longest() -> None:
    back_off = BackOff(POLICY, rng=Longest())
    assert back_off.left_s(100) == 0
    assert pauses(back_off, 7) == [1, 2, 4, 8, 10, 10, 10]


def test_a_pause_ends_with_time() -> None:
    back_off = BackOff(POLICY, rng=Longest())
    pauses(back_off, 2)
    assert back_off.left_s(102) == 1
    assert back_off.left_s(104) == 0


@given(seed=st.integers())
def test_pauses_are_jittered(seed: int) -> None:
    back_off = BackOff(POLICY, rng=random.Random(seed))  # noqa: S311
    for number, pause_s in enumerate(pauses(back_off, 6)):
        assert 0 <= pause_s <= min(10, 2**number)


def test_each_success_halves_the_next_pause() -> None:
    back_off = BackOff(POLICY, rng=Longest())
    pauses(back_off, 4)
    for _ in range(2):
        back_off.succeeded(begun_s=110)
    assert pauses(back_off, 1, now_s=111) == [4]
    for _ in range(20):
        back_off.succeeded(begun_s=112)
    assert back_off.forgettable(113)
    assert pauses(back_off, 1, now_s=113) == [1]


def test_a_long_trouble_does_not_take_longer_to_forget() -> None:
    back_off = BackOff(POLICY, rng=Longest())
    pauses(back_off, 50)
    for _ in range(5):
        back_off.succeeded(begun_s=1000)
    assert back_off.forgettable(1000)


def test_what_was_on_its_way_when_the_host_failed_says_nothing_new() -> None:
    back_off = BackOff(POLICY, rng=Longest())
    for now_s in (100.0, 100.1, 100.2):
        back_off.failed(begun_s=99, now_s=now_s)
    assert back_off.left_s(100) == 1
    back_off.succeeded(begun_s=99)
    back_off.failed(begun_s=101, now_s=101)
    assert back_off.left_s(101) == 2


def test_failures_of_long_ago_are_forgotten() -> None:
    back_off = BackOff(POLICY, rng=Longest())
    pauses(back_off, 3)
    assert not back_off.forgettable(104)
    later_s = 104 + FORGET_S
    assert back_off.forgettable(later_s)
    assert pauses(back_off, 1, now_s=later_s) == [1]


def test_a_host_where_nothing_listens_is_given_up_soon_not_left_alone_for_long() -> None:
    back_off = BackOff(RetryPolicy(refused_attempts=3), rng=Longest())
    for now_s in range(100, 200, 10):
        back_off.failed(begun_s=now_s, now_s=now_s, refused=True)
        assert back_off.left_s(now_s) <= 4


def test_without_waits_there_are_no_pauses() -> None:
    back_off = BackOff(RetryPolicy(first_wait_s=0), rng=Longest())
    assert pauses(back_off, 100) == [0] * 100
