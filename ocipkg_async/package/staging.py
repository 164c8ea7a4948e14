"""The folders that unpacking needs for a while: one to build in, one for unfinished downloads, parents."""

import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ..content import finish_in_thread
from ..content.files import PARTIAL_PREFIX, remove_stale, temp_name
from ..errors import storage_errors

_T = TypeVar("_T")

TREE, BLOBS, BACKUP = "tree", "blobs", "backup"
PARTIAL = ".ocipkg-partial"
_TRIES = 16
"""How often folders are made that calls which are at their end remove, since they are empty."""


@asynccontextmanager
async def staging_folder(parent: Path, made: list[Path] | None = None) -> AsyncIterator[Path]:
    """Make a private folder in `parent`, and remove it with all that is left in it.

    Args:
        parent: an existing folder.
        made: of `parents`, if they made it: it is made again where a call that failed, and had
            found it missing as well, has just removed it.
    """
    path = parent / temp_name()
    try:
        with storage_errors(f"write into {parent}"):
            await to_thread.run_sync(_make_staging, path, made)
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(partial(shutil.rmtree, path, ignore_errors=True))


def _make_staging(path: Path, made: list[Path] | None) -> None:
    remove_stale(path.parent, now_s=time.time())  # what a killed run left is large

    def make() -> None:
        if made is not None:
            _make_missing(path.parent, made)
        path.mkdir(mode=0o700)

    _again(make)
    for name in (TREE, BLOBS, BACKUP):
        (path / name).mkdir()


@asynccontextmanager
async def partials_folder(
    chosen: Path | None, parent: Path, *, on_left: Callable[[Path], None]
) -> AsyncIterator[Path | None]:
    """Give the folder for unfinished downloads; our own is removed again when nothing is left in it.

    Args:
        chosen: the folder that the user wants, or None.
        parent: where our own is made.
        on_left: called with the folder if something is left in it after a failure.
    """
    path = chosen or parent / PARTIAL
    try:
        usable = chosen is not None or await to_thread.run_sync(_make_private, path)
        yield path if usable else None
    except BaseException:
        names: list[str] = []
        await finish_in_thread(lambda: names.extend(_partials_in(path)))
        if names:
            on_left(path)
        raise
    finally:
        if chosen is None:
            await finish_in_thread(_remove_empty, [path])


def _partials_in(path: Path) -> list[str]:
    with suppress(OSError):
        return [one.name for one in path.iterdir() if one.name.startswith(PARTIAL_PREFIX)]
    return []


def _make_private(path: Path) -> bool:
    """Make a folder for this user alone; False if it is somebody else's, who could change what was verified."""

    def make() -> os.stat_result:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        return path.lstat()

    with storage_errors(f"create {path}"):
        found = _again(make)
    owned = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISDIR(found.st_mode) and owned and not found.st_mode & 0o022


@asynccontextmanager
async def parents(folder: Path) -> AsyncIterator[list[Path]]:
    """Make missing folders, give a list of them, and remove them again after a failure."""
    made: list[Path] = []
    try:
        with storage_errors(f"create {folder}"):
            await to_thread.run_sync(_make_parents, folder, made)
        yield made
    except BaseException:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_remove_empty, made)
        raise


def _make_parents(folder: Path, made: list[Path]) -> None:
    _again(partial(_make_missing, folder, made))


def _make_missing(folder: Path, made: list[Path]) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        made.append(one)


def _again(make: Callable[[], _T]) -> _T:
    """Make something in folders that others may remove meanwhile, from the start if they did."""
    for _ in range(_TRIES):
        # That a folder exists is told of one that is gone when it is looked at.
        with suppress(FileNotFoundError, FileExistsError):
            return make()
    return make()


def _remove_empty(made: list[Path]) -> None:
    for one in reversed(made):
        try:
            one.rmdir()
        except OSError:
            return  # somebody put something there
