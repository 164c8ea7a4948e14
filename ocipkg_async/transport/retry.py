"""When to try again, and how long to wait before (D-05)."""

import random
import re
from dataclasses import dataclass
from datetime import UTC

from ..errors import InvalidArgumentError
from .failure import Failure

MAX_RETRY_AFTER_S = 366 * 24 * 3600.0
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How failures that may pass are met: one budget for one operation, whatever fails in it.

    Attributes:
        attempts: tries in all, at least 1; 1 never repeats.
        refused_attempts: tries in all that end after a refused connection: a registry that starts
            again is back soon, and a wrong port never. Never more than `attempts`.
        first_wait_s: longest wait before the second try; it doubles with each further one.
        longest_wait_s: where the doubling ends. A server's ``Retry-After`` is kept in full all the same.
        wait_budget_s: seconds that all waits of one operation may take together. A server that
            asks for more is not waited for.
        deadline_s: seconds that one operation may take with all its tries and waits: a request
            until its answer, a blob until its last byte is moved. None: no limit.

    Raises:
        InvalidArgumentError: a number is out of its range.
    """

    attempts: int = 6
    refused_attempts: int = 3
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    wait_budget_s: float = 300.0
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        if min(self.attempts, self.refused_attempts) < 1:
            raise InvalidArgumentError("attempts must be at least 1")
        if min(self.first_wait_s, self.longest_wait_s, self.wait_budget_s) < 0:
            raise InvalidArgumentError("waits must not be negative")
        if self.deadline_s is not None and not self.deadline_s > 0:  # nor is NaN
            raise InvalidArgumentError("a deadline must be positive")


class RetryBudget:
    """What is left of one operation's tries. Without I/O and without a clock of its own."""

    def __init__(
        self, policy: RetryPolicy, *, now_s: float, rng: random.Random | None = None
    ) -> None:
        self._policy = policy
        self._started_s = now_s
        self._uniform = (rng or random).uniform
        self._waited_s = 0.0
        self.failed = 0

    def wait_after(self, failure: Failure, *, now_s: float) -> float | None:
        """Count a failed try; return the seconds to wait before the next, or None: there is none."""
        self.failed += 1
        policy = self._policy
        attempts = policy.attempts
        if failure.refused:
            attempts = min(attempts, policy.refused_attempts)
        if not failure.retryable or self.failed >= attempts:
            return None
        wait_s = self._wait_s(failure)
        if not self.can_wait(wait_s, now_s=now_s):
            return None
        self._waited_s += wait_s
        return wait_s

    def progressed(self) -> None:
        """Give back the tries and waits that were spent: what was moved since was worth them.

        The deadline stays.
        """
        self.failed = 0
        self._waited_s = 0.0

    @property
    def deadline_s(self) -> float | None:
        """Seconds that the whole operation may take, or None."""
        return self._policy.deadline_s

    def left_s(self, now_s: float) -> float | None:
        """Return the seconds that are left of the operation, at least 0, or None: there is no limit."""
        limit_s = self._policy.deadline_s
        return None if limit_s is None else max(0.0, self._started_s + limit_s - now_s)

    def can_wait(self, wait_s: float, *, now_s: float) -> bool:
        """Whether so long a wait still fits, and leaves time for a try."""
        left_s = self.left_s(now_s)
        in_time = left_s is None or wait_s < left_s
        return in_time and self._waited_s + wait_s <= self._policy.wait_budget_s

    def spend(self, wait_s: float) -> None:
        """Count a wait that was needed before a try."""
        self._waited_s += wait_s

    def _wait_s(self, failure: Failure) -> float:
        if failure.at_once and self.failed == 1:
            return 0.0
        ceiling = min(
            self._policy.longest_wait_s, self._policy.first_wait_s * 2.0 ** min(self.failed - 1, 60)
        )
        # Full jitter: clients that failed together do not come back together.
        wait_s = self._uniform(0.0, ceiling)
        if failure.retry_after_s is None:
            return wait_s
        # The server's wait is a minimum; a little more keeps its clients apart.
        return failure.retry_after_s + min(wait_s, 1.0)


def parse_retry_after(value: str | None, *, now_s: float) -> float | None:
    """Read ``Retry-After``: seconds, or an HTTP date (D-05).

    Args:
        value: the header, or None.
        now_s: seconds since the epoch.

    Returns:
        seconds to wait, 0 for a date in the past, or None where it cannot be read.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_S)
    # Policies are made without the HTTP library, which has loaded this where there is an answer.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(0.0, moment.timestamp() - now_s), MAX_RETRY_AFTER_S)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
