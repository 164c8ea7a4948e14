"""One credential file on the disk: read it, or change it whole, one writer at a time (A-50, A-51).

A writer holds a lock file beside the credential file, reads, changes, writes a new file beside
it and renames. All of that is one piece of blocking work, so that cancelling leaves either the
old file or the new one, and no lock.
"""

import contextlib
import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, cast

import anyio
from anyio import to_thread

from ...errors import CredentialError, storage_errors
from .docker_config import Json

if sys.platform != "win32":
    import fcntl

# Real files hold a few kilobytes; the limit is for a wrong path, such as a device or a log.
MAX_FILE_BYTES = 4 << 20
# A change takes milliseconds; whoever holds the lock longer hangs.
LOCK_TIMEOUT_S = 10.0
_LOCK_POLL_S = 0.02
_NO_FLOCK = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})

Change = Callable[[Json], Json | None]
Lock = Callable[[Path], AbstractContextManager[bool]]


async def read_file(path: Path) -> tuple[Json, bool] | None:
    """Read a credential file.

    Returns:
        what it holds, and whether other users can read it; None if there is no such file.

    Raises:
        CredentialError: it is not a JSON object; the message has the line and no content.
        StorageError: it cannot be read.
    """
    with storage_errors(f"read {path}"):
        # A named pipe may never give anything; nothing is lost by leaving the thread to it.
        return await to_thread.run_sync(_read, path, abandon_on_cancel=True)


async def change_file(path: Path, change: Change, *, timeout_s: float = LOCK_TIMEOUT_S) -> bool:
    """Replace a credential file by what `change` makes of it, readable by its owner only.

    A file that is missing is created, with its folder; the target of a symbolic link is replaced,
    not the link.

    Args:
        path: the file.
        change: gets what the file holds, returns what it shall hold, or None to leave it.
        timeout_s: how long to wait for another writer.

    Returns:
        whether the file was written.

    Raises:
        CredentialError: the file cannot be understood, or another writer never ends; and what
            `change` raises.
        StorageError: the file system refused.
    """
    with storage_errors(f"write {path}"):
        with anyio.move_on_after(timeout_s):
            while True:
                written = await to_thread.run_sync(_try_change, path, change)
                if written is not None:
                    return written
                await anyio.sleep(_LOCK_POLL_S)
    raise CredentialError(
        f"{path} is being written by another program",
        hint=f"try again; if none is running, remove {_lock_path(path)} and {_claim_path(path)}",
    )


def parse(data: bytes, *, where: str) -> Json:
    """Parse a credential file. An empty one holds nothing; what is made by ``mktemp`` is empty.

    Raises:
        CredentialError: it is not one JSON object.
    """
    # Raised outside the handlers: the parsers' exceptions carry the whole text.
    problem = ""
    value: Any = None
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant) if text.strip() else {}
    except json.JSONDecodeError as error:
        problem = f"{where} is not valid JSON: line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"{where} is not UTF-8 text: line {line}"
    except (ValueError, RecursionError):
        problem = f"{where} is not valid JSON"
    if not problem and not isinstance(value, dict):
        problem = f"{where} is not a JSON object: line 1"
    if problem:
        raise CredentialError(problem, hint="repair or remove it, then log in again")
    return cast("Json", value)


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError


def _read(path: Path) -> tuple[Json, bool] | None:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(data) > MAX_FILE_BYTES:
        raise CredentialError(f"{path} is too large for a credential file")
    exposed = os.name == "posix" and stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o077)
    return parse(data, where=str(path)), exposed


def _try_change(path: Path, change: Change) -> bool | None:
    """Change the file; None if somebody else is at it."""
    target = Path(os.path.realpath(path))
    # Renaming over a device would destroy it: /dev/null is a common way to say "no file".
    if not _is_replaceable(target):
        raise CredentialError(f"{path} is not a regular file", hint="choose another file")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock(target) as held:
        if not held:
            return None
        found = _read(target)
        new = change(found[0] if found else {})
        if new is None:
            return False
        _replace(target, json.dumps(new, indent="\t").encode() + b"\n")
        return True


def _is_replaceable(target: Path) -> bool:
    """Whether a path is a file, or nothing is there."""
    try:
        return stat.S_ISREG(target.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True


def _replace(target: Path, data: bytes) -> None:
    # One name for all writers, who hold the lock: what a killed one left is cleared by the next.
    temp = target.with_name(f".{target.name}.new")
    temp.unlink(missing_ok=True)
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o600)
        with open(fd, "wb") as file:  # noqa: PTH123 - there is a descriptor, no path
            _keep_owner(target, fd)
            file.write(data)
            file.flush()
            os.fsync(fd)
        temp.replace(target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


def _keep_owner(target: Path, fd: int) -> None:
    """Set the mode whatever the umask is; keep the owner when root writes a user's file."""
    if os.name != "posix":
        return
    os.fchmod(fd, 0o600)
    with contextlib.suppress(OSError):
        status = target.stat()
        if status.st_uid != os.geteuid():
            os.fchown(fd, status.st_uid, status.st_gid)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY | _CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _claim_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.claim")


@contextlib.contextmanager
def _flock(path: Path) -> Iterator[bool]:
    """Lock by ``flock``, which ends with the process. The file is removed by whoever held it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | _CLOEXEC, 0o600)
    try:
        held = _flock_now(fd, path)
        try:
            yield held
        finally:
            if held:
                path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _flock_now(fd: int, path: Path) -> bool:
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "no flock")
    # Somebody may have removed the file after it was opened here: a lock on it excludes nobody.
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


@contextlib.contextmanager
def _claim(path: Path) -> Iterator[bool]:
    """Lock by creating a file, where there is no ``flock``.

    A process that is killed leaves the file behind, except on Windows, which removes it. It is
    not guessed to be stale: two that guess at once would both write.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC | getattr(os, "O_TEMPORARY", 0)
    try:
        fd = os.open(path, flags, 0o600)
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


@contextlib.contextmanager
def _lock(target: Path, *, flock: Lock = _flock) -> Iterator[bool]:
    """Try once to be the only writer; yields whether it worked.

    Args:
        target: the file to write.
        flock: the lock to prefer; where the system has none, a file is claimed instead.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(flock(_lock_path(target)))
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            with contextlib.suppress(OSError):
                _lock_path(target).unlink()
            held = stack.enter_context(_claim(_claim_path(target)))
        yield held
