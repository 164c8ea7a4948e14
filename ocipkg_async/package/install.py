"""Unpacks what a manifest describes into a folder: fetched, verified, built aside, moved in whole.

Everything happens in a staging folder on the destination's file system. No byte is parsed before
its layer was verified, and nothing appears at the destination before all of it was unpacked;
after a failure or cancellation the destination is as it was (S-29).
"""

import errno
import functools
import os
import stat
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ..content import Fetcher
from ..errors import AlreadyExistsError, single_error, storage_errors
from ..events import Action, OnEvent, ignore
from ..spec import Manifest
from .building import Building, Place, UnpackReport
from .extract import Mode
from .layer_job import CONCURRENT_LAYERS
from .layer_plan import Unpack
from .limits import UnpackLimits
from .listing import ListedFolder
from .merge import merge_tree
from .staging import BACKUP, TREE, parents, staging_folder


async def unpack(
    fetcher: Fetcher,
    manifest: Manifest,
    destination: Path,
    *,
    limits: UnpackLimits | None = None,
    mode: Mode | None = None,
    unpack: Unpack = "auto",
    overwrite: bool = False,
    keep_times: bool = False,
    partial: Path | None = None,
    resume: bool = True,
    on_event: OnEvent = ignore,
) -> UnpackReport:
    """Write the files of a package, image or artifact into a folder.

    Args:
        fetcher: the store that has the config and the layers.
        manifest: what to unpack; from an index, the caller selects one first.
        destination: a folder, made if missing. Folders in it merge with those of the package.
        limits: how much the package may need.
        mode: what is accepted; by default ``rootfs`` for images and ``artifact`` for all others.
        unpack: which titled layers become directories.
        overwrite: replace files and links that are in the way.
        keep_times: give files and folders the times of the archive.
        partial: folder for large downloads until all of them arrived, which a later run goes on
            with; None is ``.ocipkg-partial`` beside what is written, gone when all went well.
        resume: keep them when something fails. Without, nothing is left, and layers are removed as
            soon as they are unpacked.
        on_event: progress.

    Raises:
        AlreadyExistsError: something is in the way; nothing was changed.
        NotFoundError: the store lacks a blob.
        IntegrityError: a blob, a layer's uncompressed content or ORAS's content digest is wrong.
        InvalidPackageError: a layer is no valid archive; UnsafeArchiveError and LimitExceededError
            are kinds of it.
        UnsupportedError: a layer, compression or entry of a kind that is not supported.
        DiskFullError, StorageError: the file system refused.
    """
    building = Building(
        fetcher=fetcher,
        manifest=manifest,
        limits=limits or UnpackLimits(),
        mode=mode,
        unpack=unpack,
        keep_times=keep_times,
        read_only=False,
        partial=partial,
        resume=resume,
        concurrency=CONCURRENT_LAYERS,
        listing=False,
        action="unpack",
        on_event=on_event,
    )
    return await _own_task(functools.partial(_unpack, building, destination, overwrite=overwrite))


async def unpack_new(
    fetcher: Fetcher,
    manifest: Manifest,
    folder: Path,
    *,
    limits: UnpackLimits | None = None,
    mode: Mode | None = None,
    unpack: Unpack = "auto",
    keep_times: bool = False,
    read_only: bool = False,
    workplace: Path | None = None,
    partial: Path | None = None,
    resume: bool = True,
    concurrency: int = CONCURRENT_LAYERS,
    before: Callable[[ListedFolder], None] | None = None,
    action: Action = "unpack",
    on_event: OnEvent = ignore,
) -> UnpackReport:
    """Write the files of a package, image or artifact into a new folder, put in place by one rename.

    The folder is built under a temporary name; missing parents are made.

    Args:
        fetcher: the store that has the config and the layers.
        manifest: what to unpack; from an index, the caller selects one first.
        folder: where to; nothing may be there.
        limits: how much the package may need.
        mode: what is accepted; by default ``rootfs`` for images and ``artifact`` for all others.
        unpack: which titled layers become directories.
        keep_times: give files and folders the times of the archive.
        read_only: nobody may write to the files; folders stay as they are.
        workplace: an existing folder to build in, on the same file system; None is the parent.
        partial: folder for large downloads until the files are in place, which a later run goes on
            with; None is ``.ocipkg-partial`` beside what is written, gone when all went well.
        resume: keep them when something fails. Without, nothing is left, and layers are removed as
            soon as they are unpacked.
        concurrency: layers fetched at a time.
        before: called in a worker thread with what was unpacked, before it is put in place, for
            which it may make room. What it raises ends the work.
        action: what events call it.
        on_event: progress.

    Raises:
        AlreadyExistsError: something is there.
        OCIError: as `unpack`.
    """
    building = Building(
        fetcher=fetcher,
        manifest=manifest,
        limits=limits or UnpackLimits(),
        mode=mode,
        unpack=unpack,
        keep_times=keep_times,
        read_only=read_only,
        partial=partial,
        resume=resume,
        concurrency=concurrency,
        listing=before is not None,
        action=action,
        on_event=on_event,
    )
    return await _own_task(functools.partial(_unpack_new, building, folder, before, workplace))


_T = TypeVar("_T")


async def _own_task(function: Callable[[], Awaitable[_T]]) -> _T:
    """Run `function` in a task below a cancel scope, and wait for it whatever happens.

    asyncio's own cancellation (`asyncio.timeout`, `Task.cancel`) does not know shielded scopes: it
    would leave a worker thread writing into a folder that is removed meanwhile. A task group turns
    it into the cancellation of its scope.
    """
    results: list[_T] = []

    async def run() -> None:
        results.append(await function())

    with single_error():
        async with anyio.create_task_group() as group:
            group.start_soon(run)
    return results[0]


async def _unpack(building: Building, destination: Path, *, overwrite: bool) -> UnpackReport:
    found = await to_thread.run_sync(_is_folder, destination)
    if found is None:
        return await _unpack_new(building, destination, None, None)
    if not found:
        raise AlreadyExistsError(f"{destination} is not a folder", hint="choose another folder")
    async with staging_folder(destination) as staging:

        def place(_: ListedFolder) -> None:
            merge_tree(staging / TREE, destination, backup=staging / BACKUP, overwrite=overwrite)

        return await building.run(staging, None if overwrite else destination, place)


async def _unpack_new(
    building: Building, folder: Path, before: Place | None, workplace: Path | None
) -> UnpackReport:
    if before is None and await _exists(folder):
        raise _exists_error(folder)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(parents(folder.parent))
        opened = staging_folder(workplace) if workplace else staging_folder(folder.parent, made)
        staging = await stack.enter_async_context(opened)

        def place(listing: ListedFolder) -> None:
            if before is not None:
                before(listing)
            _put_in_place(staging / TREE, folder)

        return await building.run(staging, None, place)


def _is_folder(path: Path) -> bool | None:
    """Whether a path is a folder; None if nothing is there."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False if os.path.lexists(path) else None


async def _exists(path: Path) -> bool:
    with storage_errors(f"examine {path}"):
        return await to_thread.run_sync(os.path.lexists, path)


def _exists_error(folder: Path) -> AlreadyExistsError:
    return AlreadyExistsError(f"{folder} exists", hint="remove it, or choose another folder")


def _put_in_place(tree: Path, folder: Path) -> None:
    if os.path.lexists(folder):
        raise _exists_error(folder)
    with storage_errors(f"create {folder}"):
        try:
            _rename(tree, folder)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise _exists_error(folder) from error  # somebody was faster
            raise


def _rename(tree: Path, folder: Path) -> None:
    try:
        tree.rename(folder)
    except FileNotFoundError:
        if not tree.exists():
            raise
        # A call that failed had made the parents as well, and removed them while they were empty.
        folder.parent.mkdir(parents=True, exist_ok=True)
        tree.rename(folder)
