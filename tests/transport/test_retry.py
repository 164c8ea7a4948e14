import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidArgumentError, OCIError
from ocipkg_async.transport import RetryBudget, RetryPolicy
from ocipkg_async.transport.failure import Failure, is_retryable
from ocipkg_async.transport.retry import parse_retry_after


def failure(
    *,
    retryable: bool = True,
    at_once: bool = False,
    refused: bool = False,
    after: float | None = None,
) -> Failure:
    return Failure(
        error=OCIError("x"),
        retryable=retryable,
        at_once=at_once,
        refused=refused,
        retry_after_s=after,
    )


def waits(policy: RetryPolicy, one: Failure, *, seed: int = 1) -> list[float]:
    budget = RetryBudget(policy, now_s=0.0, rng=random.Random(seed))  # noqa: S311
    found = []
    while (wait_s := budget.wait_after(one, now_s=0.0)) is not None:
        found.append(wait_s)
    return found


@given(seed=st.integers(), attempts=st.integers(1, 30))
def test_d05_waits_are_jittered_below_a_doubling_ceiling(seed: int, attempts: int) -> None:
    policy = RetryPolicy(attempts=attempts, first_wait_s=1, longest_wait_s=10, wait_budget_s=1e9)
    found = waits(policy, failure(), seed=seed)
    assert len(found) == attempts - 1
    for number, wait_s in enumerate(found):
        assert 0 <= wait_s <= min(10, 2**number)


def test_jitter_keeps_clients_apart() -> None:
    policy = RetryPolicy(attempts=2)
    assert len({waits(policy, failure(), seed=seed)[0] for seed in range(20)}) == 20


def test_what_cannot_pass_is_not_repeated() -> None:
    assert waits(RetryPolicy(), failure(retryable=False)) == []
    assert waits(RetryPolicy(attempts=1), failure()) == []


@pytest.mark.parametrize("after", [0.0, 7.0, 90.0])
def test_d05_retry_after_is_kept_in_full(after: float) -> None:
    policy = RetryPolicy(attempts=3, longest_wait_s=2, wait_budget_s=1000)
    found = waits(policy, failure(after=after))
    assert len(found) == 2
    assert all(after <= wait_s <= after + 1 for wait_s in found)


def test_a_server_that_asks_for_more_than_the_budget_is_not_waited_for() -> None:
    assert waits(RetryPolicy(wait_budget_s=60), failure(after=3600)) == []
    assert len(waits(RetryPolicy(attempts=9, wait_budget_s=60), failure(after=25))) == 2


def test_no_try_begins_after_the_deadline() -> None:
    budget = RetryBudget(RetryPolicy(deadline_s=10, first_wait_s=0.001), now_s=100.0)
    assert budget.wait_after(failure(), now_s=105.0) is not None
    assert budget.wait_after(failure(), now_s=111.0) is None


def test_the_deadline_counts_from_the_beginning() -> None:
    budget = RetryBudget(RetryPolicy(deadline_s=10), now_s=100.0)
    assert budget.left_s(104.0) == 6
    assert budget.left_s(200.0) == 0
    assert RetryBudget(RetryPolicy(), now_s=100.0).left_s(200.0) is None


def test_progress_gives_tries_and_waits_back_but_no_time() -> None:
    policy = RetryPolicy(attempts=3, first_wait_s=0, wait_budget_s=10, deadline_s=60)
    budget = RetryBudget(policy, now_s=0.0)
    for now_s in range(0, 50, 10):
        # Both what each wait leaves of the budget and the tries would end after the first round.
        assert budget.wait_after(failure(after=9), now_s=now_s) is not None
        assert budget.wait_after(failure(after=9), now_s=now_s) is None
        budget.progressed()
        assert budget.failed == 0
    assert budget.wait_after(failure(after=9), now_s=55) is None


def test_a_stale_connection_is_replaced_at_once_but_only_once() -> None:
    found = waits(RetryPolicy(attempts=3), failure(at_once=True))
    assert found[0] == 0
    assert found[1] > 0


@given(seed=st.integers())
def test_a_refused_connection_is_given_up_within_seconds(seed: int) -> None:
    found = waits(RetryPolicy(), failure(refused=True), seed=seed)
    assert len(found) == 2
    assert sum(found) <= 5
    assert len(waits(RetryPolicy(refused_attempts=9), failure(refused=True))) == 5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 522])
def test_d05_statuses_that_may_pass(status: int) -> None:
    assert is_retryable(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 416, 501, 505, 507])
def test_statuses_that_stay(status: int) -> None:
    assert not is_retryable(status)


NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        (formatdate(NOW_S + 90, usegmt=True), 90.0),
        (formatdate(NOW_S - 90, usegmt=True), 0.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("", None),
        (None, None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Wed, 99 Xyz 2023 99:99:99 GMT", None),
    ],
)
def test_d05_retry_after_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now_s=NOW_S) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, now_s=NOW_S)
    assert seconds is None or seconds >= 0


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        RetryPolicy(attempts=0)
    with pytest.raises(InvalidArgumentError):
        RetryPolicy(refused_attempts=0)
    with pytest.raises(InvalidArgumentError):
        RetryPolicy(wait_budget_s=-1)
    with pytest.raises(InvalidArgumentError):
        RetryPolicy(deadline_s=0)
