"""The unfinished file of a blob, which a later run goes on with.

::

    .partial-sha256-<hex>           the bytes, where they belong; renamed when the blob is verified
    .partial-sha256-<hex>.journal   which of them are written
    .partial-sha256-<hex>.lock      held by whoever works on it

They lie beside the blob's final place, and belong to one process at a time. In a folder of blobs,
where that place is ``<algorithm>/<hex>``, they lie one folder up: some programs take every file in
``<algorithm>`` for a blob, and remove it (regctl) or give up (umoci gc). Bytes are written before
the journal claims them, so a killed process leaves no false claim. A power failure may: then the
digest of the whole is wrong, the engine forgets what was inherited and fetches it again.

Where sharing is impossible (no locks, or such that exclude nobody, or somebody else's files in the
way) a file of this process's own serves, which nobody can go on with.
"""

import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from ...content import finish_in_thread, run_in_thread
from ...content.files import (
    JOURNAL_SUFFIX,
    LOCK_SUFFIX,
    atomic_file,
    remove_stale_partials,
    sync_folder,
    temp_name,
    write_all,
)
from ...content.locks import excludes, file_lock, is_named
from ...errors import DiskFullError, StorageError, storage_errors
from ...spec import Descriptor
from . import guarded, journal
from .journal import Ranges
from .positioned import PositionedFile


@asynccontextmanager
async def partial_file(
    path: Path, descriptor: Descriptor, *, resume: bool, on_wait: Callable[[], None] = lambda: None
) -> AsyncIterator["PartialFile"]:
    """Open the unfinished file of a blob, for one process at a time.

    At the end of the block it is gone if it was published or discarded, or if nothing of it was
    recorded; otherwise it stays for the next run. Forgotten ones in the same folder are removed.

    Args:
        path: final place of the blob; its folder is made if missing.
        descriptor: the blob.
        resume: go on with what an earlier run left, and leave to a later one what is recorded.
            Without, the file is this call's own, and gone afterwards.
        on_wait: called once if somebody else holds it, before waiting for them.

    Raises:
        DiskFullError: no space, quota or file-size limit left.
        StorageError: the folder cannot be written, or another failure of the file system.
    """
    async with AsyncExitStack() as stack:
        file = await _enter_shared(stack, path, descriptor, on_wait) if resume else None
        if file is None:
            file = await stack.enter_async_context(_opened(PartialFile(path, descriptor)))
        yield file


async def _enter_shared(
    stack: AsyncExitStack, path: Path, descriptor: Descriptor, on_wait: Callable[[], None]
) -> "PartialFile | None":
    """Open the file with the name that all agree on, or return None where it cannot be shared."""
    async with AsyncExitStack() as attempt:
        try:
            place = await run_in_thread(guarded.shared_place, path, descriptor.digest)
            file = PartialFile(path, descriptor, shared=place)
            lock = place.with_name(place.name + LOCK_SUFFIX)
            await attempt.enter_async_context(file_lock(lock, on_wait=on_wait))
            if not await run_in_thread(excludes, lock):
                await run_in_thread(partial(lock.unlink, missing_ok=True))
                return None
            await attempt.enter_async_context(_opened(file))
        except DiskFullError:
            raise
        except (StorageError, OSError):
            return None  # if the folder itself is the reason, our own file fails as well
        await stack.enter_async_context(attempt.pop_all())
    return file


@asynccontextmanager
async def _opened(file: "PartialFile") -> AsyncIterator["PartialFile"]:
    try:
        await run_in_thread(file._open)  # noqa: SLF001
        yield file
    finally:
        await finish_in_thread(file._end)  # noqa: SLF001


class PartialFile:
    """An unfinished file. Made by `partial_file`; all methods block, for worker threads.

    Attributes:
        found: the blob's final place holds a file of its size already: somebody finished while we
            waited, or was killed before tidying up. `read_into` reads that file; if it is right,
            `publish` ends the matter, otherwise, and if it is gone by then, `forget` goes on with
            the unfinished file.
        done: stretches ``[start, stop)`` that an earlier run wrote.
    """

    def __init__(self, path: Path, descriptor: Descriptor, *, shared: Path | None = None) -> None:
        self.found = False
        self.done: Ranges = ()
        self._path = path
        self._descriptor = descriptor
        self._shared = shared is not None
        self._place = shared or path.with_name(temp_name())
        self._journal_place = self._place.with_name(self._place.name + JOURNAL_SUFFIX)
        self._lock_place = self._place.with_name(self._place.name + LOCK_SUFFIX)
        self._file = PositionedFile(-1)
        self._journal = PositionedFile(-1)
        self._journal_length = 0
        self._recording = threading.Lock()
        # Whether the files serve nobody any more; known when they have been looked at.
        self._worthless = False

    def reserve(self) -> None:
        """Take the space of the whole blob, so that a full disk shows now.

        Raises:
            DiskFullError: there is not enough.
            StorageError: another failure of the file system.
        """
        size = self._descriptor.size
        if self.found or not size:
            return
        with storage_errors(f"reserve {size} bytes for {self._path}"):
            before = os.fstat(self._file.fd).st_size
            try:
                guarded.reserve(self._file.fd, size)
            except OSError:
                with contextlib.suppress(OSError):  # what was taken is not to fill the disk
                    os.ftruncate(self._file.fd, before)
                raise

    def write(self, offset: int, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces one after the other; several threads may, to different places.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        with storage_errors(f"write {self._place}"):
            self._file.write(offset, pieces)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on, as far as one call does; return the number of bytes.

        Raises:
            StorageError: the file system refused.
        """
        with storage_errors(f"read {self._path if self.found else self._place}"):
            return self._file.read_into(offset, buffer)

    def record(self, start: int, stop: int) -> None:
        """Note for a later run that ``[start, stop)`` was written; nothing if there is no journal.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        line = journal.encode_stretch(start, stop)
        with self._recording, storage_errors(f"write {self._journal_place}"):
            # Beyond what a journal may hold, a later run fetches more than it has to.
            fits = self._journal_length + len(line) <= journal.MAX_BYTES
            if self._journal.fd < 0 or not start < stop or not fits:
                return
            # Where the last line ended: what a full disk let through of another is written over.
            self._journal.write(self._journal_length, [line])
            self._journal_length += len(line)
            self._worthless = False

    def forget(self) -> None:
        """Distrust what is there: `done` is empty afterwards, and the journal claims nothing.

        What was `found` is distrusted alone: then `done` is what the unfinished file has.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        if self.found:
            self.found = False
            self._file.close()
            self._open_unfinished()
            return
        head = len(journal.encode(self._descriptor))
        with self._recording, storage_errors(f"write {self._journal_place}"):
            if self._journal.fd >= 0:
                os.ftruncate(self._journal.fd, head)
            self._journal_length = head
            self._worthless = True
        self.done = ()

    def publish(self, *, durable: bool) -> bool:
        """Give the file, which was verified, its final name, and remove what lies beside it.

        Args:
            durable: flush file and folder to the disk.

        Returns:
            False, and nothing was done, if it was `found` and somebody removed it since.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        place = self._path if self.found else self._place
        with storage_errors(f"write {self._path}"):
            if not self.found:
                guarded.check_unchanged(self._file.fd, self._place, self._descriptor.size)
            # As good as new, to those who remove what is old and not yet listed anywhere.
            with contextlib.suppress(OSError):
                os.utime(place)
            if self.found and not is_named(self._file.fd, place):
                return False
            if durable:
                os.fsync(self._file.fd)
            self._close()  # Windows renames no open file
            if not self.found:
                place.replace(self._path)
            if durable:
                sync_folder(self._path.parent)
        self._remove()
        return True

    def discard(self) -> None:
        """Remove the unfinished file, its journal and lock. What has the final name stays."""
        self._close()
        self._remove()

    def _open(self) -> None:
        guarded.make_folder(self._path.parent)
        remove_stale_partials(self._place.parent, now_s=time.time())
        if self._shared:
            fd = guarded.open_finished(self._path, self._descriptor.size)
            if fd is not None:
                self.found = True
                self._file = PositionedFile(fd)
                self._worthless = not os.path.lexists(self._place)
                return
        self._open_unfinished()

    def _open_unfinished(self) -> None:
        with guarded.folder_errors(self._place.parent):
            if not self._shared:
                self._worthless = True
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | guarded.FLAGS
                self._file = PositionedFile(os.open(self._place, flags, guarded.MODE))
                return
            known = guarded.is_ours(self._place)
            if not known:
                self._place.unlink(missing_ok=True)
            flags = os.O_RDWR | os.O_CREAT | (0 if known else os.O_EXCL) | guarded.FLAGS
            self._file = PositionedFile(os.open(self._place, flags, guarded.MODE))
            self._worthless = not known
            self._open_journal()

    def _open_journal(self) -> None:
        """Read the journal, and write it anew where it is not as it should be."""
        data = guarded.read_ours(self._journal_place, max_bytes=journal.MAX_BYTES + 1)
        length = os.fstat(self._file.fd).st_size
        self.done = journal.parse(data, self._descriptor, length=length)
        self._worthless = not self.done
        if not self.done:
            os.ftruncate(self._file.fd, 0)
        text = journal.encode(self._descriptor, self.done)
        if data != text:  # half a line goes that a killed process left; stretches are merged
            with atomic_file(self._journal_place, mode=guarded.MODE) as file:
                write_all(file, text)
        self._journal = PositionedFile(os.open(self._journal_place, os.O_RDWR | guarded.FLAGS))
        self._journal_length = len(text)

    def _close(self) -> None:
        self._file.close()
        self._journal.close()

    def _remove(self) -> None:
        self._worthless = False
        # The lock goes last, while it is held: who waits for it sees that it is another file now.
        places = [self._place, self._journal_place, self._lock_place]
        for place in places if self._shared else places[:1]:
            with contextlib.suppress(OSError):
                place.unlink()

    def _end(self) -> None:
        self._close()
        if self._worthless:
            self._remove()
