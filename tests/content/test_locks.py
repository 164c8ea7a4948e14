"""Locks between processes: exclusion, sharing, death of the holder, cancellation."""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from moments import just_before
from ocipkg_async.content.locks import excludes, file_lock, lock_if_free
from ocipkg_async.errors import StorageError, TimedOutError

HOLD = """
import sys
from pathlib import Path
import anyio
from ocipkg_async.content.locks import excludes, file_lock, lock_if_free

async def main():
    async with file_lock(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
        print("held", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
    print("released", flush=True)

anyio.run(main)
"""


@contextlib.contextmanager
def held_elsewhere(path: Path, how: str = "exclusive") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input closes."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def is_free(path: Path, *, shared: bool = False) -> bool:
    try:
        async with file_lock(path, shared=shared, timeout_s=0):
            return True
    except TimedOutError:
        return False


async def test_two_processes_exclude_each_other_until_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        assert not await is_free(path)
        assert not await is_free(path, shared=True)
        with pytest.raises(TimedOutError) as caught:
            async with file_lock(path, timeout_s=0.03):
                pass
        assert str(path) in str(caught.value)
        assert caught.value.hint
        process.kill()  # no chance to clean up
        async with file_lock(path, timeout_s=60):
            pass


async def test_the_next_process_gets_it_when_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        got = anyio.Event()

        async def wait() -> None:
            async with file_lock(path):
                got.set()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(0.03)
            assert not got.is_set()
            await anyio.to_thread.run_sync(process.communicate, "")
        assert got.is_set()


async def test_who_waits_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    told: list[str] = []
    async with file_lock(path, on_wait=lambda: told.append("free")):
        pass
    assert told == []
    with held_elsewhere(path) as process, anyio.fail_after(60):

        async def end() -> None:
            while not told:  # noqa: ASYNC110 - it is told once, and then waits on
                await anyio.sleep(0.01)
            await anyio.sleep(0.1)
            await anyio.to_thread.run_sync(process.communicate, "")

        async with anyio.create_task_group() as group:
            group.start_soon(end)
            async with file_lock(path, on_wait=lambda: told.append("held")):
                pass
    assert told == ["held"]


async def test_a_lock_is_verified_by_locking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    async with file_lock(path):
        assert await anyio.to_thread.run_sync(excludes, path)
        assert not await is_free(path)
    if sys.platform != "win32":
        import fcntl

        monkeypatch.setattr(fcntl, "flock", lambda *_: None)  # grants every lock
        async with file_lock(path):
            assert not await anyio.to_thread.run_sync(excludes, path)


async def test_a_lock_file_that_its_holder_removes_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    # It was opened here; whoever held it removes it, and lets go.
    removed = just_before(monkeypatch, "stat", lambda p: p == str(path), path.unlink)
    async with file_lock(path, timeout_s=0):
        assert removed
        assert not await is_free(path)


async def test_a_lock_if_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"

    def free_and_held() -> tuple[bool, bool]:
        with lock_if_free(path) as one, lock_if_free(path) as two:
            return one, two

    with held_elsewhere(path):
        assert await anyio.to_thread.run_sync(free_and_held) == (False, False)
    for _ in range(2):
        assert await anyio.to_thread.run_sync(free_and_held) == (True, False)
    assert await is_free(path)
    if sys.platform != "win32":
        import fcntl

        monkeypatch.setattr(fcntl, "flock", lambda *_: None)  # nobody can know
        assert await anyio.to_thread.run_sync(free_and_held) == (False, False)


async def test_shared_holders_in_two_processes(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path, "shared"):
        async with file_lock(path, shared=True, timeout_s=0):
            assert not await is_free(path)
        assert await is_free(path, shared=True)
        assert not await is_free(path)


async def test_tasks_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    inside = 0
    done = []

    async def work(number: int) -> None:
        nonlocal inside
        async with file_lock(path):
            inside += 1
            assert inside == 1
            await anyio.sleep(0.002)
            inside -= 1
            done.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(work, number)
    assert sorted(done) == list(range(5))


async def test_released_after_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ValueError, match="x"):
        async with file_lock(path):
            raise ValueError("x")
    assert await is_free(path)


async def test_a_removed_lock_file_does_not_let_two_in(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    entered = anyio.Event()
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            async with file_lock(path):
                entered.set()

        other = tmp_path / "other"
        async with file_lock(other):
            async with file_lock(path):
                group.start_soon(wait)
                await anyio.sleep(0.02)
                # As if the file were removed, and another one came first and made a new file.
                other.replace(path)
            await anyio.sleep(0.15)  # the lock on the old file is free
            assert not entered.is_set()
        with anyio.fail_after(60):
            await entered.wait()


@pytest.mark.parametrize("how", ["task", "scope"])
async def test_cancelled_while_waiting(tmp_path: Path, how: str) -> None:
    path = tmp_path / "lock"

    async def wait() -> None:
        async with file_lock(path):
            pytest.fail("it is held")

    async with file_lock(path):
        if how == "task":
            task = asyncio.create_task(wait())
            await anyio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with anyio.move_on_after(0.02) as scope:
                await wait()
            assert scope.cancelled_caught
    assert await is_free(path)


class SlowPath(type(Path())):  # type: ignore[misc]
    """A path on a file system that takes its time to open a file."""

    begun: threading.Event
    go_on: threading.Event

    def __fspath__(self) -> str:
        self.begun.set()
        assert self.go_on.wait(60)
        return str(self)


async def test_cancelled_while_the_thread_locks_it_is_not_left_held(tmp_path: Path) -> None:
    """A cancellation by asyncio comes between the thread that locks and the task that would know."""
    path = SlowPath(tmp_path / "lock")
    path.begun, path.go_on = threading.Event(), threading.Event()

    async def hold() -> None:
        async with file_lock(path):
            pytest.fail("it was cancelled before")

    task = asyncio.create_task(hold())
    assert await anyio.to_thread.run_sync(path.begun.wait, 60)
    task.cancel()
    await anyio.sleep(0.01)
    path.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert path.exists()
    await anyio.sleep(0.05)
    assert await is_free(path)


class MovingPath(type(Path())):  # type: ignore[misc]
    """A path that names another file each time, as when its file is removed and made anew."""

    files: Iterator[str]

    def __fspath__(self) -> str:
        return next(self.files)


async def test_a_lock_on_a_file_that_was_removed_meanwhile_counts_for_nothing(
    tmp_path: Path,
) -> None:
    path = MovingPath(tmp_path / "lock")
    (tmp_path / "new").touch()
    old, new, gone = (str(tmp_path / name) for name in ("old", "new", "gone"))
    # Opened under the first name, found under the second: what is there now counts.
    async with file_lock(tmp_path / "new", timeout_s=0):
        for removed in ([old, new], [old, gone]):
            path.files = iter([*removed, new])
            assert not await is_free(path)
    for removed in ([old, new], [old, gone]):
        path.files = iter([*removed, new, new])
        assert await is_free(path)
    path.files = itertools.cycle([old, gone])  # always removed again: somebody is at it
    assert not await is_free(path)


async def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "lock", tmp_path):
        with pytest.raises(StorageError, match="lock"):
            async with file_lock(path):
                pytest.fail("there is nothing to lock")


async def test_the_file_stays_and_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with file_lock(path):
        pass
    assert path.read_bytes() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="links are opened there")
async def test_s20_a_link_in_place_of_the_lock_makes_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        async with file_lock(tmp_path / "lock", timeout_s=0):
            pass
    assert not (tmp_path / "elsewhere").exists()


FORK = """
import os, sys
from pathlib import Path
import anyio
from ocipkg_async.content.locks import excludes, file_lock, lock_if_free
from ocipkg_async.errors import TimedOutError

async def is_free(path):
    try:
        async with file_lock(path, timeout_s=0):
            return True
    except TimedOutError:
        return False

async def main():
    path = Path(sys.argv[1])
    lock = file_lock(path)
    await lock.__aenter__()
    end, keep = os.pipe()
    child = os.fork()
    if not child:
        os.close(keep)
        try:
            lock.gen.aclose().send(None)  # it clears up what it inherited
        except StopIteration:
            pass
        os.read(end, 1)
        os._exit(0)
    other = os.fork()
    if not other:
        os.close(keep)
        os.read(end, 1)
        os._exit(0)
    await anyio.sleep(0.1)
    print("held", not await is_free(path))
    await lock.__aexit__(None, None, None)
    print("free", await is_free(path))
    os.close(keep)
    for one in (child, other):
        os.waitpid(one, 0)

anyio.run(main)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_neither_keeps_nor_releases_its_parents_lock(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path / "lock")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["held True", "free True"]
