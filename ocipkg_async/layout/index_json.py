"""The ``index.json`` of a layout directory: read as often as asked, changed under a lock."""

import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import anyio

from ..content import run_in_thread
from ..content.files import atomic_file, write_all
from ..content.locks import file_lock
from ..errors import InvalidLayoutError, LimitExceededError, StorageError, storage_errors
from ..spec.image_layout import INDEX
from . import index_file, opening
from .entries import Entries
from .file_state import FileState, settled_state
from .index_file import Tree

# Some tools write into the file itself: what cannot be read just after a change may be half of it.
_TRIES = 10
_PAUSE_S = 0.02

Edit = Callable[[Tree], Tree]


class _Known(NamedTuple):
    """What was read or written last.

    Without `state` the file's bytes are compared, which is much faster than reading what they say.
    """

    state: FileState | None
    hash: bytes
    tree: Tree
    entries: Entries


@dataclass(slots=True, eq=False)
class _Wanted:
    """An edit that a task waits for, and how it ended."""

    edit: Edit
    then: Callable[[Entries], object] = lambda _: None
    alone: bool = False
    done: bool = False
    error: StorageError | None = None


class IndexJson:
    """The file, and the right to change it.

    Attributes:
        layout: the folder of the layout.
    """

    def __init__(self, layout: Path, *, durable: bool, flushed: bool) -> None:
        """Take the folder of a layout.

        Args:
            layout: the folder.
            durable: flush each change to the disk.
            flushed: take what the file holds to be on the disk; a killed process may have left it.
        """
        self.layout = layout
        self._durable = durable
        self._flushed = flushed or not durable
        self._path = layout / INDEX
        self._turn = anyio.Lock()  # tasks of one process queue here instead of polling the lock
        self._waiting: deque[_Wanted] = deque()
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

    async def change(self, edit: Edit) -> None:
        """Edit the file as it is now and replace it; the caller is inside `locked`.

        Raises:
            InvalidLayoutError: the file is missing or not an image index.
            LimitExceededError: it would be larger than what is read; the file is as it was.
            DiskFullError, StorageError: the file system refused; the file is as it was.
        """
        await run_in_thread(lambda: self._change([_Wanted(edit)]))

    async def change_soon(
        self, edit: Edit, *, then: Callable[[Entries], object] = lambda _: None
    ) -> None:
        """Edit the file; what several tasks want at the same time is written at once.

        Args:
            edit: changes the index as it is then. It must have no effect but its result.
            then: called in a worker thread with the entries of before, while the lock is still held.

        Raises:
            OCIError: what `edit` raised, or as `change`.
        """
        wanted = _Wanted(edit, then)
        self._waiting.append(wanted)
        try:
            async with self._turn:
                if not wanted.done:
                    async with file_lock(self.layout / opening.LOCK):
                        await run_in_thread(self._change_waiting, wanted)
        except BaseException:
            with contextlib.suppress(ValueError):  # it is taken
                self._waiting.remove(wanted)
            raise
        if wanted.error is not None:
            raise wanted.error

    def _change_waiting(self, own: _Wanted) -> None:
        """Do what all tasks want that wait; each is told how its own edit ended."""
        taken: list[_Wanted] = []
        with contextlib.suppress(IndexError):
            while not own.alone:
                taken.append(self._waiting.popleft())
        if len(taken) > 1 and self._change_together(taken):
            return
        self._change([own])
        own.done = True

    def _change_together(self, wanted: Sequence[_Wanted]) -> bool:
        """Return whether all have ended; if not, each has to be done alone."""
        try:
            self._change(wanted)
        except StorageError as error:
            # The file may be in its place and not flushed: to try again would find nothing to do.
            for one in wanted:
                one.error = copy(error)
        except Exception:  # noqa: BLE001 - whose it is gets it again
            # One is refused for itself, not for what others want; and in a turn of its own, which
            # its task can give up: of an index that is full each try takes long.
            for one in wanted:
                one.alone = True
            return False
        for one in wanted:
            one.done = True
        return True

    def _change(self, wanted: Sequence[_Wanted]) -> None:
        before = self._read()
        after = before.tree
        for one in wanted:
            after = one.edit(after)
        if after is not before.tree or not self._flushed:
            self._replace(before, after)
        for one in wanted:
            one.then(before.entries)

    def _replace(self, before: _Known, after: Tree) -> None:
        after = index_file.ordered(after)
        data = index_file.dump(after)
        if len(data) > index_file.MAX_BYTES:
            raise LimitExceededError(
                f"the {INDEX} of {self.layout} would be larger than {index_file.MAX_BYTES} bytes",
                hint="remove tags and manifests that nobody needs",
            )
        self._flushed = not self._durable
        with atomic_file(self._path, durable=self._durable) as file:
            write_all(file, data)
        self._flushed = True
        entries = index_file.descriptors_after(after, before.tree, before.entries)
        self._known = _Known(None, hash=_hash(data), tree=after, entries=Entries(entries))

    def _read(self) -> _Known:
        with storage_errors(f"read {self._path}"):
            try:
                known = self._known
                if known and known.state and known.state == settled_state(self._path.stat()):
                    return known
                return self._read_again(known)
            except FileNotFoundError as error:
                raise InvalidLayoutError(f"the layout {self.layout} has no {INDEX}") from error

    def _read_again(self, known: _Known | None) -> _Known:
        for _ in range(_TRIES):
            with contextlib.suppress(InvalidLayoutError):
                return self._parse(known)
            if settled_state(self._path.stat()):
                break
            time.sleep(_PAUSE_S)
        return self._parse(known)

    def _parse(self, known: _Known | None) -> _Known:
        with opening.open_regular(self._path) as file:
            # Before it is read: what is changed while that lasts may look the same.
            state = settled_state(os.fstat(file.fileno()))
            data = opening.read_all(file, max_bytes=index_file.MAX_BYTES, name=self._path)
        hashed = _hash(data)
        if known is not None and known.hash == hashed:
            tree, entries = known.tree, known.entries
        else:
            tree = index_file.decode(data, where=str(self.layout))
            entries = Entries(index_file.descriptors(tree))
        self._known = _Known(state, hashed, tree, entries)
        return self._known


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()
