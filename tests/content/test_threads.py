"""Worker threads have ended when their caller goes on, whoever cancelled it."""

import asyncio
import threading

import anyio
import pytest

from ocipkg_async.content import finish_in_thread, run_in_thread


class Work:
    """A blocking function whose begin and end can be seen."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.ended = False

    def __call__(self) -> str:
        self.begun.set()
        assert self.go_on.wait(60)
        self.ended = True
        return "result"

    async def until_begun(self) -> None:
        assert await anyio.to_thread.run_sync(self.begun.wait, 60)


async def test_arguments_result_and_exception() -> None:
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(divmod, 7, 0)


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_by_asyncio_it_waits_for_the_thread(times: int) -> None:
    work = Work()
    task = asyncio.create_task(run_in_thread(work))
    await work.until_begun()
    for _ in range(times):
        task.cancel()
        await anyio.sleep(0.01)
        assert not task.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended


async def test_cancelled_by_a_scope_it_waits_for_the_thread() -> None:
    work = Work()
    async with anyio.create_task_group() as group:
        group.start_soon(run_in_thread, work)
        await work.until_begun()
        group.cancel_scope.cancel()
        work.go_on.set()
    assert work.ended


async def test_timeout_of_asyncio() -> None:
    work = Work()
    ended_before_the_caller: list[bool] = []

    async def call() -> None:
        try:
            async with limit:
                await run_in_thread(work)
        except TimeoutError:
            ended_before_the_caller.append(work.ended)

    limit = asyncio.timeout(None)
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await work.until_begun()
        limit.reschedule(0)
        await anyio.sleep(0.01)
        work.go_on.set()
    assert ended_before_the_caller == [True]


async def test_cancelled_before_it_began_it_never_begins() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    blockers = [object() for _ in range(int(limiter.available_tokens))]
    for one in blockers:
        await limiter.acquire_on_behalf_of(one)
    work = Work()
    task = asyncio.create_task(run_in_thread(work))
    await anyio.sleep(0.01)
    task.cancel()
    for one in blockers:
        limiter.release_on_behalf_of(one)
    with pytest.raises(asyncio.CancelledError):
        await task
    await run_in_thread(int)
    assert not work.begun.is_set()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("times", [1, 3])
async def test_clean_up_is_done_once_wherever_it_is_cancelled(turns: int, times: int) -> None:
    done: list[int] = []
    task = asyncio.create_task(finish_in_thread(done.append, 1))
    for _ in range(turns):
        await asyncio.sleep(0)
    was_done = task.done()
    begun = turns > 0
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    if was_done:
        await task
    elif begun:
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await asyncio.wait([task])
        return  # asyncio never let it begin
    assert done == [1]


async def test_clean_up_in_a_cancelled_scope_is_done() -> None:
    done: list[int] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await finish_in_thread(done.append, 1)
    assert done == [1]


async def test_clean_up_passes_its_exception_on() -> None:
    with pytest.raises(ZeroDivisionError):
        await finish_in_thread(divmod, 7, 0)
