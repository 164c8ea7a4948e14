"""Opening files in a folder that others may write to, trusting nothing that lies in the way.

Everything here blocks.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ...content.files import PARTIAL_PREFIX
from ...content.locks import is_named
from ...errors import StorageError, storage_errors
from ...spec import Digest

FLAGS = sum(getattr(os, f"O_{name}", 0) for name in ("CLOEXEC", "BINARY", "NOFOLLOW", "NONBLOCK"))
"""For every open: a link is not followed, and a pipe in place of a file blocks nobody."""
MODE = 0o644
_CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing.

    Raises:
        StorageError: it cannot be made.
    """
    with folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def shared_place(path: Path, digest: Digest) -> Path:
    """Return where all agree that the unfinished file of a blob is; its folder is made.

    Raises:
        StorageError: the folder cannot be made.
    """
    folder = path.parent
    make_folder(folder)
    if (folder.name, path.name) == (digest.algorithm, digest.encoded):
        with folder_errors(folder):
            # What is renamed must not cross to another file system.
            if folder.stat().st_dev == folder.parent.stat().st_dev:
                folder = folder.parent
    return folder / f"{PARTIAL_PREFIX}{digest.algorithm}-{digest.encoded}"


@contextlib.contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Map an `OSError` raised inside, with a hint where the folder is what cannot be used.

    Raises:
        DiskFullError, StorageError: the file system refused.
    """
    try:
        with storage_errors(f"keep an unfinished download in {folder}"):
            yield
    except StorageError as error:
        if error.errno in _NOT_WRITABLE:
            error.hint = "make the folder writable, or choose another one (--partial)"
        raise


def reserve(fd: int, size: int) -> None:
    """Take the space of a whole file, or only set its length where space cannot be reserved."""
    if hasattr(os, "fstatvfs"):
        system = os.fstatvfs(fd)
        missing = size - os.fstat(fd).st_blocks * 512
        # Some file systems find out by filling the disk, and a manifest may claim any size. Others
        # do not tell what they have.
        if system.f_blocks and missing > system.f_bfree * system.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
        else:
            return
    os.ftruncate(fd, size)


def is_ours(place: Path) -> bool:
    """Whether this is a file that nobody else can write to behind our back.

    Other names of it (hard links), or an owner who may have it open still, would let somebody
    change the blob after it was verified. The folder's owner can do that anyway.
    """
    try:
        status = place.lstat()
    except FileNotFoundError:
        return False
    return _is_ours(status, place.parent)


def _is_ours(status: os.stat_result, folder: Path) -> bool:
    geteuid = getattr(os, "geteuid", None)
    owners = {folder.stat().st_uid, geteuid() if geteuid else status.st_uid}
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid in owners


def read_ours(place: Path, *, max_bytes: int) -> bytes:
    """Return what a small file of ours holds, nothing if it is not ours, at most `max_bytes`."""
    if not is_ours(place):
        return b""
    fd = os.open(place, os.O_RDONLY | FLAGS)
    with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - there is a descriptor, no path
        data = bytearray()
        while piece := file.read(max_bytes - len(data)):
            data += piece
        return bytes(data)


def check_unchanged(fd: int, place: Path, size: int) -> None:
    """Make sure that `place` still names the open file, and that all of it is there.

    Raises:
        StorageError: it does not, or another failure of the file system.
    """
    with storage_errors(f"examine {place}"):
        unchanged = is_named(fd, place) and os.fstat(fd).st_size == size
    if not unchanged:
        raise StorageError(
            f"{place} was changed, replaced or removed meanwhile",
            hint="leave the hidden files of a running download alone, and run it again",
        )


def open_finished(path: Path, size: int) -> int | None:
    """Open the file at a blob's final place if it could be the blob, and is ours; see `is_ours`."""
    try:
        fd = os.open(path, os.O_RDONLY | FLAGS)
    except OSError:
        return None  # there is none, or none that can be read; it will be replaced
    status = os.fstat(fd)
    with contextlib.suppress(OSError):
        if status.st_size == size and _is_ours(status, path.parent):
            return fd
    os.close(fd)
    return None
