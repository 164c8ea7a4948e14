"""Ends what takes longer than the deadline of its operation."""

import time
from contextlib import AbstractContextManager
from types import TracebackType

import anyio

from ..errors import TimedOutError
from .retry import RetryBudget


class Deadline(AbstractContextManager[None]):
    """Bounds what is done inside by what is left of a budget's time. Use it once.

    Args:
        budget: of the operation.
        what: what is done, as it begins the sentence "... was not finished".
    """

    def __init__(self, budget: RetryBudget, *, what: str) -> None:
        self._budget = budget
        self._what = what
        self._scope: anyio.CancelScope | None = None

    def __enter__(self) -> None:
        left_s = self._budget.left_s(time.monotonic())
        if left_s is not None:
            self._scope = anyio.CancelScope(deadline=anyio.current_time() + left_s)
            self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._scope is None:
            return
        self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            raise TimedOutError(
                f"{self._what} was not finished within {self._budget.deadline_s:g} s",
                hint="allow more time (deadline_s, --timeout), or try again later",
            ) from None
