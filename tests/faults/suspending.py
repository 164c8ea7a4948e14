"""Counts the places where a piece of work waits, in all its tasks, and cancels it at one of them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import anyio

Way = Literal["asyncio", "anyio"]


class Suspensions:
    """How often the tasks of some work were suspended.

    Attributes:
        count: so often.
    """

    def __init__(self) -> None:
        self.count = 0
        self._at: int | None = None
        self._then: Callable[[], object] = lambda: None

    def call_at(self, number: int, then: Callable[[], object]) -> None:
        """Call a function at the suspension with a number; the first is 0."""
        self._at, self._then = number, then

    def one(self) -> None:
        number, self.count = self.count, self.count + 1
        if number == self._at:
            self._then()


_counted_by: ContextVar[Suspensions | None] = ContextVar("_counted_by", default=None)


class _Driven:
    """Drives a coroutine, and counts each time it has to wait."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], suspensions: Suspensions) -> None:
        self._coroutine = coroutine
        self._suspensions = suspensions

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        sent: Any = None
        while True:
            try:
                if error is not None:
                    waited_for = self._coroutine.throw(error)
                else:
                    waited_for = self._coroutine.send(sent)
            except StopIteration as stop:
                return stop.value
            self._suspensions.one()
            error = sent = None
            try:
                sent = yield waited_for
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it is the coroutine's
                error = thrown


async def _drive(coroutine: Coroutine[Any, Any, Any], suspensions: Suspensions) -> Any:
    return await _Driven(coroutine, suspensions)


@contextmanager
def counting() -> Iterator[None]:
    """Have the tasks of works counted that are run inside, those that they start too."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        suspensions = _counted_by.get()
        driven = coroutine if suspensions is None else _drive(coroutine, suspensions)
        return asyncio.Task(driven, loop=loop, **options)

    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(before)


async def run_cancelled(
    work: Callable[[], Awaitable[object]], *, at: int | None, way: Way
) -> tuple[bool, int]:
    """Run a piece of work in a task of its own, and cancel it at a suspension.

    Args:
        work: what to run, inside of `counting`.
        at: which suspension; None: it is not cancelled.
        way: `asyncio.Task.cancel`, or a cancel scope of anyio around the work.

    Returns:
        whether it came to its end, and how many suspensions there were.
    """
    suspensions = Suspensions()
    scope = anyio.CancelScope()

    async def scoped() -> None:
        with scope:
            await work()

    async def plain() -> None:
        await work()

    token = _counted_by.set(suspensions)
    try:
        task = asyncio.get_running_loop().create_task(scoped() if way == "anyio" else plain())
    finally:
        _counted_by.reset(token)
    if at is not None:
        suspensions.call_at(at, scope.cancel if way == "anyio" else task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        assert way == "asyncio"
        return False, suspensions.count
    task.result()
    return not scope.cancelled_caught, suspensions.count
