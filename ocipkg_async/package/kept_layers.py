"""Layers that arrived, in a folder where a later run finds them until the package is in its place.

Several processes may unpack from one file there. Each holds the lock beside it, shared; who is last
removes both.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from ..content.files import LOCK_SUFFIX, PARTIAL_PREFIX
from ..content.locks import file_lock
from ..errors import StorageError, TimedOutError

_MOST_HELD = 64
"""Each lock is an open file. Of further layers one is fetched again if another process takes it."""


class KeptLayers:
    """The layers of one package. Made by `kept_layers`.

    Attributes:
        folder: where they are.
        paths: those that may be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: set[Path] = set()
        self._locks: dict[Path, AsyncExitStack] = {}

    async def hold(self, name: str) -> Path:
        """Return where a layer is; from now on no other process removes it, if that can be had."""
        # By its name it is removed with the unfinished ones, when nobody came back for it.
        path = self.folder / f"{PARTIAL_PREFIX}{name}"
        self.paths.add(path)
        if path not in self._locks and len(self._locks) < _MOST_HELD:
            await to_thread.run_sync(_make_folder, self.folder)
            # What cannot be locked cannot be written either, or can be without a lock.
            with contextlib.suppress(StorageError):
                await self._lock(path, file_lock(_lock_of(path), shared=True))
        return path

    async def claim(self, path: Path) -> bool:
        """Return whether nobody else uses a layer; then nobody will. Otherwise it may go any time."""
        if path not in self._locks:
            return True
        await self._locks.pop(path).aclose()
        try:
            await self._lock(path, file_lock(_lock_of(path), timeout_s=0))
        except TimedOutError:
            return False
        except StorageError:
            return True
        return True

    async def _lock(self, path: Path, lock: AbstractAsyncContextManager[None]) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            self._locks[path] = stack.pop_all()

    async def release(self) -> None:
        """Let others remove them."""
        while self._locks:
            await self._locks.popitem()[1].aclose()


@asynccontextmanager
async def kept_layers(folder: Path | None) -> AsyncIterator[KeptLayers | None]:
    """Keep layers in a folder for later runs, until the block ends without an exception.

    Args:
        folder: made if missing; None keeps nothing.
    """
    if folder is None:
        yield None
        return
    done, kept = False, KeptLayers(folder)
    try:
        yield kept
        done = True
    finally:
        with anyio.CancelScope(shield=True):
            await kept.release()
            await _tidy(kept.paths, done=done)


async def _tidy(paths: Iterable[Path], *, done: bool) -> None:
    for path in paths:
        with contextlib.suppress(StorageError, TimedOutError):  # somebody else uses it, and tidies
            async with file_lock(_lock_of(path), timeout_s=0):
                await to_thread.run_sync(partial(_remove, path, done=done))


def _remove(path: Path, *, done: bool) -> None:
    with contextlib.suppress(OSError):
        if done:
            path.unlink(missing_ok=True)
        _lock_of(path).unlink(missing_ok=True)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + LOCK_SUFFIX)


def _make_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # whoever writes into it tells
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
