"""Local files: written under a temporary name, renamed into place when complete.

Everything here that touches the disk blocks; callers run it in worker threads, in pieces of a
megabyte or more.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import StorageError, storage_errors
from .locks import lock_if_free

TEMP_PREFIX = ".tmp-"
"""How every unfinished file and folder begins; `remove_stale` clears what a killed process left."""
# As `temp_name` makes them: a folder that the user chose may hold hidden files of other programs.
# 0 is nobody's number: a name with it is for what a lock guards, whose age says nothing.
_TEMP = re.compile(rf"{re.escape(TEMP_PREFIX)}[1-9][0-9]*-.+", re.ASCII)
STALE_AFTER_S = 24 * 3600.0
PARTIAL_PREFIX = ".partial-"
"""How a download begins that a later run may go on with; its journal and lock lie beside it."""
JOURNAL_SUFFIX = ".journal"
LOCK_SUFFIX = ".lock"
STALE_PARTIAL_S = 7 * 24 * 3600.0
"""Who has not gone on with a download for a week has forgotten it."""


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


def make_folder(path: Path, *, durable: bool = False) -> None:
    """Make a folder and its parents, as far as they are missing.

    Args:
        path: the folder.
        durable: flush to the disk that they are there.

    Raises:
        OSError: as the system says it.
    """
    if path.is_dir():
        return
    above = next((folder for folder in path.parents if folder.exists()), None)
    path.mkdir(parents=True, exist_ok=True)
    if durable:
        for folder in path.parents:
            sync_folder(folder)
            if folder == above:
                break


def remove_tree(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it; others may remove it as well.

    Raises:
        OSError: as the system says it.
    """
    with contextlib.suppress(FileNotFoundError):
        while path.is_dir() and not path.is_symlink():
            # What somebody else removes meanwhile ends it early, with the rest still there.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)
        path.unlink()


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
        entries = [entry for entry in folder.iterdir() if _TEMP.fullmatch(entry.name)]
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


def remove_stale_partials(
    folder: Path, *, now_s: float, older_than_s: float = STALE_PARTIAL_S
) -> int:
    """Remove unfinished downloads in `folder` that are old, and that nobody works on: by their lock.

    Args:
        folder: where they are; nothing happens if it is missing.
        now_s: the time now, as `time.time` gives it.
        older_than_s: age from which nobody goes on with them any more.

    Returns:
        how many were removed.
    """
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name.startswith(PARTIAL_PREFIX) and not entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return 0  # tidying is a favour, never a reason to fail
    stems = {name.removesuffix(LOCK_SUFFIX).removesuffix(JOURNAL_SUFFIX) for name in names}
    removed = 0
    for stem in sorted(stems):
        with contextlib.suppress(OSError, StorageError):
            removed += _remove_partial(folder / stem, before_s=now_s - older_than_s)
    return removed


def _remove_partial(file: Path, *, before_s: float) -> bool:
    journal, lock = (file.with_name(file.name + s) for s in (JOURNAL_SUFFIX, LOCK_SUFFIX))

    def is_old() -> bool:
        # The lock file is as old as the first try, so it counts only where it is alone.
        times = _times(file, journal) or _times(lock)
        return bool(times) and max(times) < before_s

    # Looked at again under the lock: somebody may have gone on with it just now.
    if not is_old():
        return False
    with lock_if_free(lock) as free:
        if not free or not is_old():
            return False
        for path in (file, journal, lock):
            path.unlink(missing_ok=True)
    return True


def _times(*paths: Path) -> list[float]:
    """Return when those that exist were changed."""
    times: list[float] = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            times.append(path.lstat().st_mtime)
    return times
