"""Locks between processes, on a file, that vanish with the process that holds them.

`flock` where there is one, else an exclusive byte-range lock; both are released by the system
when the process dies, so a killed process never blocks the next.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio

from ..errors import TimedOutError, storage_errors
from .threads import run_in_thread

# Polling costs nothing while it is short beside what the lock guards, and can be cancelled, which
# a blocking flock in a thread cannot.
_FIRST_WAIT_S = 0.005
_LONGEST_WAIT_S = 0.1
_MOST_REMOVED = 16
"""How many lock files in a row may be removed before the lock counts as held."""

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int, *, shared: bool) -> bool:  # noqa: ARG001 - there are no shared locks here
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.close(fd)
else:
    import fcntl

    def _try_lock(fd: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        # A child that was forked meanwhile has the descriptor too, and would keep the lock.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _open_and_try(path: Path, *, shared: bool) -> int | None:
    """Open the lock file and try once; None if somebody holds it.

    The file may be removed by whoever held it; a lock on a removed file excludes nobody, so the
    path must still name the locked file. Then nobody holds the one that is there next, perhaps,
    and it is tried in its place. A link is not followed: in a folder of somebody else it could
    make a file anywhere.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_MOST_REMOVED):
        fd = os.open(path, flags, 0o666)
        try:
            locked = _try_lock(fd, shared=shared)
            if locked and is_named(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if not locked:
            break
    return None


def is_named(fd: int, path: Path) -> bool:
    """Whether `path` still names the open file, and not by a link.

    Raises:
        OSError: as the system says it.
    """
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _is_read_only(path: Path) -> bool:
    """Whether the file system takes no changes, such as that of an image."""
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # Windows cannot tell
        return False


def _release(fd: int, holder: int) -> None:
    """Give a lock back; a forked child that clears up has nothing to give."""
    if os.getpid() == holder:
        _unlock(fd)
    else:
        os.close(fd)


def excludes(path: Path) -> bool:
    """Whether the lock on `path`, which this process holds exclusively, keeps others out; blocks.

    Some network and user-space file systems (NFS, Lustre, FUSE) grant every lock. It is tried by
    locking a second time. A file system that knows locks, but only those of its own machine, is
    not found out by this.

    Raises:
        StorageError: the lock file cannot be opened.
    """
    with storage_errors(f"lock {path}"):
        fd = _open_and_try(path, shared=False)
    if fd is None:
        return True
    _unlock(fd)
    return False


@contextlib.contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Hold the exclusive lock on `path` unless somebody else does, and tell which; blocks.

    Where locks keep nobody out, nobody can know what is free, so the answer is always no.

    Raises:
        StorageError: the lock file cannot be opened, or the file system has no locks.
    """
    with storage_errors(f"lock {path}"):
        fd = _open_and_try(path, shared=False)
    if fd is None:
        yield False
        return
    try:
        yield excludes(path)
    finally:
        _unlock(fd)


@contextlib.asynccontextmanager
async def file_lock(
    path: Path,
    *,
    shared: bool = False,
    timeout_s: float | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> AsyncIterator[None]:
    """Hold the lock on `path`, an empty file that is created when missing and stays.

    Args:
        path: the lock file; its folder must exist.
        shared: allow other shared holders, no exclusive one. On a read-only file system it is
            held without a lock file.
        timeout_s: give up after so many seconds; None waits for ever, 0 tries once.
        on_wait: called once if somebody else holds it.

    Raises:
        TimedOutError: somebody else held it all the time.
        StorageError: the lock file cannot be opened, or the file system has no locks.
    """
    with contextlib.ExitStack() as held:

        def acquire() -> bool:
            if shared and _is_read_only(path):
                return True  # nobody can write there, so there is nobody to wait for
            fd = _open_and_try(path, shared=shared)
            if fd is not None:
                held.callback(_release, fd, os.getpid())
            return fd is not None

        with storage_errors(f"lock {path}"):
            wait_s, waited_s = _FIRST_WAIT_S, 0.0
            while not await run_in_thread(acquire):
                if timeout_s is not None and waited_s >= timeout_s:
                    raise TimedOutError(
                        f"{path} is locked by another process",
                        hint="wait for it, or end that process",
                    )
                if not waited_s:
                    on_wait()
                await anyio.sleep(wait_s)
                waited_s += wait_s
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        yield
