"""The folders that unpacking needs for a while: one to build in, one for unfinished downloads, parents."""

import functools
import os
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio import to_thread

from ..content import finish_in_thread
from ..content.files import temp_name
from ..errors import storage_errors

TREE, BLOBS, BACKUP = "tree", "blobs", "backup"
PARTIAL = ".ocipkg-partial"


@asynccontextmanager
async def staging_folder(parent: Path) -> AsyncIterator[Path]:
    """Make a private folder in `parent`, and remove it with all that is left in it."""
    path = parent / temp_name()
    try:
        with storage_errors(f"write into {parent}"):
            await to_thread.run_sync(_make_staging, path)
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(functools.partial(shutil.rmtree, path, ignore_errors=True))


def _make_staging(path: Path) -> None:
    path.mkdir(mode=0o700)
    for name in (TREE, BLOBS, BACKUP):
        (path / name).mkdir()


@asynccontextmanager
async def partials_folder(chosen: Path | None, parent: Path) -> AsyncIterator[Path | None]:
    """Give the folder for unfinished downloads; our own is removed again when nothing is left in it."""
    if chosen is not None:
        yield chosen
        return
    path = parent / PARTIAL
    try:
        yield path if await to_thread.run_sync(_make_private, path) else None
    finally:
        await finish_in_thread(_remove_empty, [path])


def _make_private(path: Path) -> bool:
    """Make a folder for this user alone; False if it is somebody else's, who could change what was verified."""
    with storage_errors(f"create {path}"):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    owned = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISDIR(found.st_mode) and owned and not found.st_mode & 0o022


@asynccontextmanager
async def parents(folder: Path) -> AsyncIterator[None]:
    """Make missing folders, and remove them again after a failure."""
    made: list[Path] = []
    try:
        with storage_errors(f"create {folder}"):
            await to_thread.run_sync(_make_parents, folder, made)
        yield
    except BaseException:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_remove_empty, made)
        raise


def _make_parents(folder: Path, made: list[Path]) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        made.append(one)


def _remove_empty(made: list[Path]) -> None:
    for one in reversed(made):
        try:
            one.rmdir()
        except OSError:
            return  # somebody put something there
