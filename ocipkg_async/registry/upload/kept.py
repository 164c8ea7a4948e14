"""Upload sessions that outlive their process: one small file for each blob on its way.

A location is as good as a password for its upload on some registries, so nobody else may read the
files. What stands in one is believed no more than what a registry says: it leads to a question
where the upload stands, sent where uploads may go at all.
"""

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import platformdirs

from ...content import finish_in_thread, run_in_thread
from ...content.files import atomic_file, remove_stale, write_all
from ...content.locks import file_lock
from ...errors import ProtocolError, StorageError, TimedOutError, storage_errors
from ...spec import Descriptor
from ...transport import join_location
from .session import UploadSession

VERSION = 1
KEPT_S = 7 * 24 * 3600.0
"""Registries forget unfinished uploads after some hours or days; most within a week."""
_MAX_BYTES = 64 << 10
_SUFFIX = ".upload"
_LOCK = ".lock"
# As `kept_upload` names them. The folder may be chosen, and hold files of other programs.
_NAME = re.compile(rf"[0-9a-f]{{64}}(?:{re.escape(_SUFFIX)}|{re.escape(_LOCK)})", re.ASCII)
# A link is not followed, and a pipe in place of the file blocks nobody.
_FLAGS = os.O_RDONLY | sum(getattr(os, f"O_{n}", 0) for n in ("CLOEXEC", "NOFOLLOW", "NONBLOCK"))


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: int
    registry: str
    repository: str
    digest: str
    size: int
    location: str
    offset: int
    min_chunk_bytes: int
    saved_s: float


def default_folder() -> Path:
    """Return the user's folder for upload sessions."""
    return platformdirs.user_state_path("ocipkg-async", appauthor=False) / "uploads"


class KeptUpload:
    """What is remembered of one upload, held by one process at a time.

    Attributes:
        session: what an earlier run left, or None.
    """

    def __init__(self, file: Path, record: _Record) -> None:
        self.session: UploadSession | None = None
        self._file = file
        self._record = record

    async def load(self) -> None:
        """Read what an earlier run left; what cannot be used is removed."""
        self.session = await run_in_thread(self._load)

    def _load(self) -> UploadSession | None:
        try:
            found = _read(self._file)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, ValueError):
            found = None
        session = _session(found, self._record) if found is not None else None
        if session is None:
            self._remove()
        return session

    async def save(self, session: UploadSession) -> None:
        """Remember where the upload stands.

        Raises:
            StorageError: it cannot be written.
        """
        record = msgspec.structs.replace(
            self._record,
            location=session.location,
            offset=session.offset,
            min_chunk_bytes=session.min_chunk_bytes,
            saved_s=time.time(),
        )
        data = msgspec.json.encode(record)

        def write() -> None:
            with atomic_file(self._file, mode=0o600) as file:
                write_all(file, data)

        await run_in_thread(write)

    async def remove(self) -> None:
        """Forget the upload."""
        await finish_in_thread(self._remove)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink()


def _read(path: Path) -> _Record | None:
    """Read a record that nobody else can have written: it says where content is sent."""
    fd = os.open(path, _FLAGS | getattr(os, "O_BINARY", 0))
    with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - there is a descriptor, no path
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        if hasattr(os, "geteuid") and (
            status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        ):
            return None
        return msgspec.json.decode(file.read(_MAX_BYTES), type=_Record)


def _session(found: _Record, wanted: _Record) -> UploadSession | None:
    """Return the session of a record if it is one of ours, of this blob, and not too old."""
    same = ("version", "registry", "repository", "digest", "size")
    if any(getattr(found, name) != getattr(wanted, name) for name in same):
        return None
    age_s = wanted.saved_s - found.saved_s
    if not -3600 < age_s < KEPT_S or not 0 <= found.offset <= found.size:
        return None
    try:
        location = join_location(found.location, found.location)
    except ProtocolError:
        return None
    least = max(0, found.min_chunk_bytes)
    return UploadSession(location=location, offset=found.offset, min_chunk_bytes=least)


@asynccontextmanager
async def kept_upload(
    folder: Path, *, registry: str, repository: str, descriptor: Descriptor
) -> AsyncIterator[KeptUpload | None]:
    """Hold what is remembered of an upload.

    Yields:
        it, or None while somebody else works on the same upload.

    Raises:
        StorageError: the folder cannot be used.
    """
    now_s = time.time()
    record = _Record(
        version=VERSION,
        registry=registry,
        repository=repository,
        digest=str(descriptor.digest),
        size=descriptor.size,
        location="",
        offset=0,
        min_chunk_bytes=0,
        saved_s=now_s,
    )
    what = f"{registry}\n{repository}\n{descriptor.digest}"
    name = hashlib.sha256(what.encode()).hexdigest()
    await run_in_thread(_prepare, folder)
    await _sweep(folder, now_s=now_s)
    lock = folder / (name + _LOCK)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(file_lock(lock, timeout_s=0))
        except TimedOutError:
            yield None
            return
        kept = KeptUpload(folder / (name + _SUFFIX), record)
        await kept.load()
        try:
            yield kept
        finally:
            # Removed while it is held: who has opened it already sees that it is gone.
            await finish_in_thread(_unlink, lock)


def _prepare(folder: Path) -> None:
    with storage_errors(f"make {folder}"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


async def _sweep(folder: Path, *, now_s: float) -> None:
    """Remove what nobody went on with."""
    for file in await run_in_thread(_old, folder, now_s):
        with contextlib.suppress(StorageError, TimedOutError):
            lock = file.with_suffix(_LOCK)
            async with file_lock(lock, timeout_s=0):
                await finish_in_thread(_unlink_old, file, lock, now_s)


def _old(folder: Path, now_s: float) -> list[Path]:
    remove_stale(folder, now_s=now_s)
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += (
            file for file in folder.iterdir() if _NAME.fullmatch(file.name) and _is_old(file, now_s)
        )
    return found


def _unlink_old(file: Path, lock: Path, now_s: float) -> None:
    """Remove a file that is still old under its lock: another push may have begun just now."""
    with contextlib.suppress(OSError):
        if _is_old(file, now_s):
            _unlink(file)
    _unlink(lock)


def _is_old(file: Path, now_s: float) -> bool:
    return now_s - file.lstat().st_mtime > KEPT_S


def _unlink(*files: Path) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
