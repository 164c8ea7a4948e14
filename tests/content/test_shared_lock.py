"""A lock that many hold together, or one alone."""

import asyncio
import random

import anyio
import pytest

from ocipkg_async.content.shared_lock import SharedLock


class Holding:
    """Who holds a lock, in the order in which they came to."""

    def __init__(self) -> None:
        self.lock = SharedLock()
        self.now: list[str] = []
        self.history: list[str] = []
        self.go_on: dict[str, anyio.Event] = {}

    async def hold(self, name: str) -> None:
        """Hold it until `go_on[name]`: alone if the name is of capital letters."""
        self.go_on[name] = anyio.Event()
        async with self.lock.alone() if name.isupper() else self.lock.shared():
            self.now.append(name)
            self.history.append(name)
            try:
                await self.go_on[name].wait()
            finally:
                self.now.remove(name)


async def holding(*names: str) -> tuple[Holding, dict[str, "asyncio.Task[None]"]]:
    held = Holding()
    tasks = {}
    for name in names:
        tasks[name] = asyncio.create_task(held.hold(name))
        await anyio.wait_all_tasks_blocked()
    return held, tasks


async def end(tasks: dict[str, "asyncio.Task[None]"]) -> None:
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())


async def test_many_share_it_and_one_has_it_alone() -> None:
    held, tasks = await holding("a", "b", "C", "d", "e", "F")
    assert held.now == ["a", "b"]
    held.go_on["a"].set()
    await anyio.wait_all_tasks_blocked()
    assert held.now == ["b"]
    for name, then in (("b", ["C"]), ("C", ["d", "e"]), ("e", ["d"]), ("d", ["F"]), ("F", [])):
        held.go_on[name].set()
        await anyio.wait_all_tasks_blocked()
        assert held.now == then
    await end(tasks)


@pytest.mark.parametrize("name", ["a", "b", "C", "d", "E"])
async def test_who_gives_up_keeps_nobody_out(name: str) -> None:
    held, tasks = await holding("a", "b", "C", "d", "E")
    tasks.pop(name).cancel()
    for other in tasks:
        await anyio.wait_all_tasks_blocked()
        held.go_on[other].set()
    with anyio.fail_after(20):
        await asyncio.gather(*tasks.values())
    assert held.now == []


async def test_any_order() -> None:
    chance = random.Random(5)  # noqa: S311 - an order of steps
    lock = SharedLock()
    shared = alone = most = 0

    async def work() -> None:
        nonlocal shared, alone, most
        for _ in range(10):
            with anyio.move_on_after(chance.choice([0.001, 20])):
                if chance.random() < 0.2:
                    async with lock.alone():
                        assert (shared, alone) == (0, 0)
                        alone += 1
                        try:
                            await anyio.sleep(chance.uniform(0, 0.002))
                        finally:
                            alone -= 1
                else:
                    async with lock.shared():
                        assert alone == 0
                        shared += 1
                        most = max(most, shared)
                        try:
                            await anyio.sleep(chance.uniform(0, 0.002))
                        finally:
                            shared -= 1

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(work)
    assert most > 1
