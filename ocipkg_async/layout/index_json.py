"""The ``index.json`` of a layout directory: read as often as asked, changed under a lock."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from ..content import run_in_thread
from ..content.files import atomic_file, write_all
from ..content.locks import file_lock
from ..errors import InvalidLayoutError, storage_errors
from ..spec import Descriptor
from ..spec.image_layout import INDEX
from . import index_file, opening
from .index_file import Tree

# A file that was changed within one tick of the file system's clock shows no new time; what was
# read so soon after a change is not remembered.
_TICK_S = 0.1


class IndexJson:
    """The file, and the right to change it."""

    def __init__(self, layout: Path, *, durable: bool) -> None:
        """Take the folder of a layout; `durable` flushes each change to the disk."""
        self._layout = layout
        self._durable = durable
        self._path = layout / INDEX
        self._turn = anyio.Lock()  # tasks of one process queue here instead of polling the lock
        self._remembered: tuple[tuple[int, int, int], list[Descriptor]] | None = None

    async def entries(self) -> list[Descriptor]:
        """Return the entries.

        Raises:
            InvalidLayoutError: the file is missing or not an image index.
            StorageError: it cannot be read.
        """
        return list(await run_in_thread(self._entries))

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the right to `change` the file, among tasks and among processes."""
        async with self._turn, file_lock(self._layout / opening.LOCK):
            yield

    async def change(self, edit: Callable[[Tree], Tree]) -> None:
        """Read the file anew, edit it and replace it; the caller is inside `locked`.

        Raises:
            InvalidLayoutError: the file is missing or not an image index.
            DiskFullError, StorageError: the file system refused; the file is as it was.
        """
        await run_in_thread(partial(self._change, edit))

    def _change(self, edit: Callable[[Tree], Tree]) -> None:
        before = self._decode()
        after = edit(before)
        if after is not before:
            with atomic_file(self._path, durable=self._durable) as file:
                write_all(file, index_file.encode(after))

    def _decode(self) -> Tree:
        with storage_errors(f"read {self._path}"):
            try:
                data = opening.read_small(self._path, max_bytes=index_file.MAX_BYTES)
            except FileNotFoundError as error:
                raise InvalidLayoutError(f"the layout {self._layout} has no {INDEX}") from error
        return index_file.decode(data, where=str(self._layout))

    def _entries(self) -> list[Descriptor]:
        with storage_errors(f"read {self._path}"):
            try:
                status = self._path.stat()
            except FileNotFoundError as error:
                raise InvalidLayoutError(f"the layout {self._layout} has no {INDEX}") from error
        state = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._remembered
        if known is not None and known[0] == state:
            return known[1]
        entries = index_file.descriptors(self._decode())
        settled = time.time() - status.st_mtime > _TICK_S
        self._remembered = (state, entries) if settled else None
        return entries
