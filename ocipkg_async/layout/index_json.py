"""The ``index.json`` of a layout directory: read as often as asked, changed under a lock."""

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import anyio

from ..content import run_in_thread
from ..content.files import atomic_file, write_all
from ..content.locks import file_lock
from ..errors import InvalidLayoutError, LimitExceededError, storage_errors
from ..spec.image_layout import INDEX
from . import index_file, opening
from .entries import Entries
from .index_file import Tree

# A file that was changed within one tick of the file system's clock shows no new time. Of a change
# so young its bytes are compared, which is much faster than reading what they say.
_TICK_S = 0.1
# Some tools write into the file itself: what cannot be read just after a change may be half of it.
_TRIES = 10
_PAUSE_S = 0.02

_State = tuple[int, int, int]


class _Known(NamedTuple):
    """What was read or written last.

    `settled` says that every other content of the file would show in `state`.
    """

    state: _State
    settled: bool
    hash: bytes
    tree: Tree
    entries: Entries


class IndexJson:
    """The file, and the right to change it.

    Attributes:
        layout: the folder of the layout.
    """

    def __init__(self, layout: Path, *, durable: bool) -> None:
        """Take the folder of a layout; `durable` flushes each change to the disk."""
        self.layout = layout
        self._durable = durable
        self._path = layout / INDEX
        self._turn = anyio.Lock()  # tasks of one process queue here instead of polling the lock
        self._known: _Known | None = None

    async def entries(self) -> Entries:
        """Return the entries; the same object while the file has not changed.

        Raises:
            InvalidLayoutError: the file is missing or not an image index.
            StorageError: it cannot be read.
        """
        return (await run_in_thread(self._read)).entries

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the right to `change` the file, among tasks and among processes."""
        async with self._turn, file_lock(self.layout / opening.LOCK):
            yield

    async def change(self, edit: Callable[[Tree], Tree]) -> None:
        """Edit the file as it is now and replace it; the caller is inside `locked`.

        Raises:
            InvalidLayoutError: the file is missing or not an image index.
            LimitExceededError: it would be larger than what is read; the file is as it was.
            DiskFullError, StorageError: the file system refused; the file is as it was.
        """
        await run_in_thread(partial(self._change, edit))

    def _change(self, edit: Callable[[Tree], Tree]) -> None:
        before = self._read()
        after = edit(before.tree)
        if after is before.tree:
            return
        after = index_file.ordered(after)
        data = index_file.encode(after)
        if len(data) > index_file.MAX_BYTES:
            raise LimitExceededError(
                f"the {INDEX} of {self.layout} would be larger than {index_file.MAX_BYTES} bytes",
                hint="remove tags and manifests that nobody needs",
            )
        with atomic_file(self._path, durable=self._durable) as file:
            write_all(file, data)
            state = _state(os.fstat(file.fileno()))
        entries = index_file.descriptors_after(after, before.tree, before.entries)
        self._known = _Known(
            state, settled=False, hash=_hash(data), tree=after, entries=Entries(entries)
        )

    def _read(self) -> _Known:
        with storage_errors(f"read {self._path}"):
            try:
                known = self._known
                if known and known.settled and known.state == _state(self._path.stat()):
                    return known
                return self._read_again(known)
            except FileNotFoundError as error:
                raise InvalidLayoutError(f"the layout {self.layout} has no {INDEX}") from error

    def _read_again(self, known: _Known | None) -> _Known:
        for _ in range(_TRIES):
            with contextlib.suppress(InvalidLayoutError):
                return self._parse(known)
            if _is_settled(self._path.stat()):
                break
            time.sleep(_PAUSE_S)
        return self._parse(known)

    def _parse(self, known: _Known | None) -> _Known:
        with opening.open_regular(self._path) as file:
            status = os.fstat(file.fileno())
            settled = _is_settled(status)
            data = opening.read_all(file, max_bytes=index_file.MAX_BYTES, name=self._path)
        hashed = _hash(data)
        if known is not None and known.hash == hashed:
            tree, entries = known.tree, known.entries
        else:
            tree = index_file.decode(data, where=str(self.layout))
            entries = Entries(index_file.descriptors(tree))
        self._known = _Known(_state(status), settled, hashed, tree, entries)
        return self._known


def _is_settled(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > _TICK_S


def _state(status: os.stat_result) -> _State:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()
