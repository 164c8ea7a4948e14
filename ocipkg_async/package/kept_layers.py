"""Layers that arrived, in a folder where a later run finds them until the package is in its place.

Several processes may unpack from one file there. Each holds the lock beside it, shared; who is last
removes both.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
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
    """

    def __init__(self, folder: Path, locks: AsyncExitStack) -> None:
        self.folder = folder
        self.paths: set[Path] = set()
        self._locks = locks
        self._held: set[Path] = set()

    async def hold(self, name: str) -> Path:
        """Return where a layer is; from now on no other process removes it, if that can be had."""
        # By its name it is removed with the unfinished ones, when nobody came back for it.
        path = self.folder / f"{PARTIAL_PREFIX}{name}"
        self.paths.add(path)
        if path not in self._held and len(self._held) < _MOST_HELD:
            self._held.add(path)
            # What cannot be locked cannot be written either, or can be without a lock.
            with contextlib.suppress(StorageError):
                await to_thread.run_sync(partial(_make_folder, self.folder))
                await self._locks.enter_async_context(file_lock(_lock(path), shared=True))
        return path


@asynccontextmanager
async def kept_layers(folder: Path | None) -> AsyncIterator[KeptLayers | None]:
    """Keep layers in a folder for later runs, until the block ends without an exception.

    Args:
        folder: made if missing; None keeps nothing.
    """
    if folder is None:
        yield None
        return
    done = False
    async with AsyncExitStack() as locks:
        kept = KeptLayers(folder, locks)
        try:
            yield kept
            done = True
        finally:
            with anyio.CancelScope(shield=True):
                await locks.aclose()
                await _tidy(kept.paths, done=done)


async def _tidy(paths: Iterable[Path], *, done: bool) -> None:
    for path in paths:
        with contextlib.suppress(StorageError, TimedOutError):  # somebody else uses it, and tidies
            async with file_lock(_lock(path), timeout_s=0):
                await to_thread.run_sync(partial(_remove, path, done=done))


def _remove(path: Path, *, done: bool) -> None:
    with contextlib.suppress(OSError):
        if done:
            path.unlink(missing_ok=True)
        _lock(path).unlink(missing_ok=True)


def _lock(path: Path) -> Path:
    return path.with_name(path.name + LOCK_SUFFIX)


def _make_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # whoever writes into it tells
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
