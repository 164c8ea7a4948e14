"""Local files: written under a temporary name, renamed into place when complete.

Everything here that touches the disk blocks; callers run it in worker threads, in pieces of a
megabyte or more.
"""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import storage_errors

TEMP_PREFIX = ".tmp-"
"""How every unfinished file and folder begins; `remove_stale` clears what a killed process left."""
STALE_AFTER_S = 24 * 3600.0


def temp_name() -> str:
    """Return a new name for an unfinished file or folder."""
    return f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"


@contextlib.contextmanager
def atomic_file(path: Path, *, mode: int = 0o644, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open a new file that appears at `path` when the block ends without an exception.

    It is written beside `path`, so that the rename is atomic; after an exception nothing is left.

    Args:
        path: final place; an existing file is replaced.
        mode: permission bits, less the umask.
        durable: flush file and folder to the disk before returning.

    Raises:
        DiskFullError: no space, quota or file-size limit left.
        StorageError: any other failure of the file system.
    """
    temp = path.parent / temp_name()
    with storage_errors(f"write {path}"):
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
        try:
            with open(fd, "wb", buffering=0) as file:  # noqa: PTH123 - there is a descriptor, no path
                yield file
                if durable:
                    os.fsync(fd)
            temp.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temp.unlink()
            raise
        if durable:
            sync_folder(path.parent)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write every byte of `data` to an unbuffered file, which may take fewer at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, where the platform can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_stale(folder: Path, *, now_s: float, older_than_s: float = STALE_AFTER_S) -> int:
    """Remove unfinished files and folders in `folder` that no living process can still be writing.

    Args:
        folder: where they are; nothing happens if it is missing.
        now_s: the time now, as `time.time` gives it.
        older_than_s: age from which nobody works on them any more.

    Returns:
        how many were removed.
    """
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.startswith(TEMP_PREFIX)]
    except OSError:
        return 0  # tidying is a favour, never a reason to fail
    removed = 0
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.lstat()
            if now_s - status.st_mtime <= older_than_s:
                continue
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(entry)
            else:
                entry.unlink()
            removed += 1
    return removed
