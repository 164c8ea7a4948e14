"""A verb that is cancelled anywhere leaves no file, no task and a client that goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from client.trees import contents, everything, make_tree
from ocipkg_async import Client, ClientOptions
from ocipkg_async.content.files import TEMP_PREFIX
from registries import RunningRegistry

POINTS = 12

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """A client that did nothing yet, and what it can work with."""

    client: Client
    reference: str
    tree: Path
    archive: str
    """Holds the package of the reference."""
    out: Path
    """Where verbs write to."""
    store: Path

    def call(self, verb: str) -> Call:
        return {
            "get": lambda: self.client.get(self.reference),
            "pull": lambda: self.client.pull(self.reference, self.out / "folder"),
            "pack": lambda: self.client.pack([self.tree], str(self.out / "b.tar")),
            "save": lambda: self.client.save(self.reference, str(self.out / "c.tar")),
            "push": lambda: self.client.push(self.archive, self.reference + "-pushed"),
            "verify": self.client.verify,
        }[verb]

    async def forget(self) -> None:
        """Take back what a verb did that came to its end."""
        if await self.client.packages():
            await self.client.remove(self.reference)
        for path in sorted(self.out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture
async def work(
    tmp_path: Path, threaded_registry: RunningRegistry, repository_name: str
) -> AsyncIterator[Work]:
    reference = f"{threaded_registry.host}/{repository_name}:v1"
    tree, out, archive = make_tree(tmp_path / "tree"), tmp_path / "out", str(tmp_path / "a.tar")
    out.mkdir()
    async with Client(ClientOptions(store=tmp_path / "store")) as client:
        await client.pack([tree], reference)
        await client.save(reference, archive)
        yield Work(
            client=client,
            reference=reference,
            tree=tree,
            archive=archive,
            out=out,
            store=tmp_path / "store",
        )


async def turns_of(call: Call) -> int:
    """Run it to its end; return how many turns of the event loop it took."""
    task = asyncio.ensure_future(call())
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


async def cancelled_after(turns: int, call: Call, *, scope: bool) -> bool:
    """Cancel it after so many turns, by asyncio or by a scope of anyio; say if it was in time."""
    cancel_scope = anyio.CancelScope()

    async def run() -> None:
        with cancel_scope:
            await call()

    task = asyncio.ensure_future(run() if scope else call())
    for _ in range(turns):
        await asyncio.sleep(0)
    in_time = not task.done()
    cancel_scope.cancel() if scope else task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
        in_time = cancel_scope.cancelled_caught
    return in_time


@pytest.mark.parametrize("scope", [False, True], ids=["asyncio", "anyio"])
@pytest.mark.parametrize("verb", ["get", "pull", "pack", "save", "push", "verify"])
async def test_cancelled_anywhere(verb: str, scope: bool, work: Work) -> None:
    call = work.call(verb)
    if verb == "verify":
        await work.client.get(work.reference)
    turns = await turns_of(call)
    outcome = contents(work.out)
    if verb != "verify":
        await work.forget()
    tasks = asyncio.all_tasks()
    in_time = 0
    for point in range(POINTS):
        if await cancelled_after(turns * point // POINTS, call, scope=scope):
            in_time += 1
            # Nothing, or all where it came after the last step.
            assert contents(work.out) in ({}, outcome)
        for folder in (work.store, work.out):
            assert [path for path in everything(folder) if TEMP_PREFIX in path] == []
        assert asyncio.all_tasks() == tasks
        if verb != "verify":
            await work.forget()
    assert in_time, "it always came to its end"
    await call()
    assert await work.client.verify() == []
