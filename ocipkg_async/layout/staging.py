"""Unfinished files: written under a temporary name, published by rename, or gone."""

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from ..content import files, finish_in_thread, run_in_thread
from ..content.files import sync_folder, temp_name
from ..errors import AlreadyExistsError, storage_errors


class StagedFile:
    """A file that nobody sees yet. Made by `staged_file`."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.path = folder / temp_name()
        self.fd = -1
        self._durable = durable
        self._published = False

    def write(self, data: bytes) -> None:
        """Append `data`; blocks, so it is called in a worker thread.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        with storage_errors(f"write in {self.path.parent}"):
            view = memoryview(data)
            while view:
                view = view[os.write(self.fd, view) :]

    async def publish(self, path: Path, *, replace: bool = True) -> None:
        """Give the file its name, in the same file system.

        Args:
            path: final place.
            replace: replace what is there; otherwise that is an error.

        Raises:
            AlreadyExistsError: something is there and must not be replaced.
            DiskFullError, StorageError: the file system refused.
        """
        await run_in_thread(partial(self._publish, path, replace))

    def _open(self, make_folder: bool) -> None:  # noqa: FBT001
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with storage_errors(f"write in {self.path.parent}"):
            if make_folder:
                files.make_folder(self.path.parent, durable=self._durable)
            self.fd = os.open(self.path, flags, 0o644)

    def _publish(self, path: Path, replace: bool) -> None:  # noqa: FBT001
        with storage_errors(f"write {path}"):
            if self._durable:
                os.fsync(self.fd)
            self._close()  # Windows renames no open file
            if replace:
                self.path.replace(path)
            else:
                _rename_new(self.path, path)
            self._published = True
            if self._durable:
                sync_folder(path.parent)

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _discard(self) -> None:
        self._close()
        if not self._published:
            with contextlib.suppress(OSError):
                self.path.unlink()


def exists_error(path: Path) -> AlreadyExistsError:
    """Return the error for a file that is in the way."""
    return AlreadyExistsError(
        f"{path} exists already",
        hint="choose another name, or allow it with overwrite (--overwrite)",
    )


def _rename_new(temp: Path, path: Path) -> None:
    """Rename where `path` must not exist; a hard link decides without a race."""
    try:
        os.link(temp, path)
    except FileExistsError as error:
        raise exists_error(path) from error
    except OSError:
        if path.exists():
            raise exists_error(path) from None
        temp.replace(path)
    else:
        temp.unlink()


@asynccontextmanager
async def staged_file(
    folder: Path, *, make_folder: bool = True, durable: bool = False
) -> AsyncIterator[StagedFile]:
    """Open a new file; it is gone at the end of the block unless published.

    Args:
        folder: where it is written, and in whose file system it will be published.
        make_folder: make the folder if it is missing.
        durable: flush to the disk before publishing.

    Raises:
        DiskFullError, StorageError: the file system refused.
    """
    file = StagedFile(folder, durable=durable)
    try:
        await run_in_thread(partial(file._open, make_folder))  # noqa: SLF001
        yield file
    finally:
        await finish_in_thread(file._discard)  # noqa: SLF001
