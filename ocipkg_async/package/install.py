"""Unpacks what a manifest describes into a folder: fetched, verified, built aside, moved in whole.

Everything happens in a staging folder on the destination's file system. No byte is parsed before
its layer was verified, and nothing appears at the destination before all of it was unpacked;
after a failure or cancellation the destination is as it was (S-29).
"""

import errno
import functools
import os
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import from_thread, to_thread

from ..content import Fetcher, fetch_bytes, finish_in_thread
from ..content.files import temp_name
from ..errors import AlreadyExistsError, InvalidArgumentError, single_error, storage_errors
from ..events import OnEvent, Warned, ignore
from ..spec import Descriptor, Manifest
from .extract import Extractor, Mode
from .layer_job import LayerJob
from .layer_plan import IMAGE_CONFIGS, Unpack, plan_unpack
from .limits import UnpackLimits
from .merge import merge_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackReport:
    """What was unpacked.

    Attributes:
        files: how many files, every hard link counted.
        bytes: bytes in them, hard links counted once.
        skipped: layers that were not unpacked, each with the reason.
        special: devices and FIFOs that were left out.
    """

    files: int
    bytes: int
    skipped: tuple[tuple[Descriptor, str], ...] = ()
    special: int = 0


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
        partial: folder for unfinished downloads, which a later run goes on with; None is a hidden
            one beside what is written, gone when everything went well.
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
    build = functools.partial(
        _build,
        fetcher,
        manifest,
        limits=limits or UnpackLimits(),
        mode=mode,
        unpack=unpack,
        keep_times=keep_times,
        partial=partial,
        on_event=on_event,
    )
    return await _own_task(functools.partial(_unpack, build, destination, overwrite=overwrite))


async def unpack_new(
    fetcher: Fetcher,
    manifest: Manifest,
    folder: Path,
    *,
    limits: UnpackLimits | None = None,
    mode: Mode | None = None,
    unpack: Unpack = "auto",
    keep_times: bool = False,
    partial: Path | None = None,
    on_event: OnEvent = ignore,
) -> UnpackReport:
    """Write the files of a package, image or artifact into a new folder, put in place by one rename.

    The folder is built beside its place, under a temporary name; missing parents are made.

    Args:
        fetcher: the store that has the config and the layers.
        manifest: what to unpack; from an index, the caller selects one first.
        folder: where to; nothing may be there.
        limits: how much the package may need.
        mode: what is accepted; by default ``rootfs`` for images and ``artifact`` for all others.
        unpack: which titled layers become directories.
        keep_times: give files and folders the times of the archive.
        partial: folder for unfinished downloads, which a later run goes on with; None is a hidden
            one beside what is written, gone when everything went well.
        on_event: progress.

    Raises:
        AlreadyExistsError: something is there.
        OCIError: as `unpack`.
    """
    build = functools.partial(
        _build,
        fetcher,
        manifest,
        limits=limits or UnpackLimits(),
        mode=mode,
        unpack=unpack,
        keep_times=keep_times,
        partial=partial,
        on_event=on_event,
    )
    return await _own_task(functools.partial(_unpack_new, build, folder))


_Build = Callable[[Path], Awaitable[UnpackReport]]
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


async def _unpack(build: _Build, destination: Path, *, overwrite: bool) -> UnpackReport:
    if not await _exists(destination):
        return await _unpack_new(build, destination)
    if not await to_thread.run_sync(destination.is_dir):
        raise AlreadyExistsError(f"{destination} is not a folder", hint="choose another folder")
    async with _staging(destination) as staging:
        report = await build(staging)
        move = functools.partial(
            merge_tree,
            staging / _TREE,
            destination,
            backup=staging / _BACKUP,
            overwrite=overwrite,
        )
        await to_thread.run_sync(move)
    return report


async def _unpack_new(build: _Build, folder: Path) -> UnpackReport:
    if await _exists(folder):
        raise _exists_error(folder)
    async with _parents(folder.parent), _staging(folder.parent) as staging:
        report = await build(staging)
        await to_thread.run_sync(_put_in_place, staging / _TREE, folder)
    return report


_TREE, _BLOBS, _BACKUP = "tree", "blobs", "backup"


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
            tree.rename(folder)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise _exists_error(folder) from error  # somebody was faster
            raise


@asynccontextmanager
async def _staging(parent: Path) -> AsyncIterator[Path]:
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
    for name in (_TREE, _BLOBS, _BACKUP):
        (path / name).mkdir()


PARTIAL = ".ocipkg-partial"


@asynccontextmanager
async def _partials(chosen: Path | None, parent: Path) -> AsyncIterator[Path | None]:
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
async def _parents(folder: Path) -> AsyncIterator[None]:
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


async def _build(
    fetcher: Fetcher,
    manifest: Manifest,
    staging: Path,
    *,
    limits: UnpackLimits,
    mode: Mode | None,
    unpack: Unpack,
    keep_times: bool,
    partial: Path | None,
    on_event: OnEvent,
) -> UnpackReport:
    """Fetch and unpack everything into the staging folder's tree."""
    if not isinstance(manifest, Manifest):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgumentError(
            "an index cannot be unpacked", hint="select the manifest of one platform first"
        )
    config = None
    if manifest.config is not None and manifest.config.media_type in IMAGE_CONFIGS:
        config = await fetch_bytes(fetcher, manifest.config)
    plan = plan_unpack(manifest, config, limits=limits, mode=mode, unpack=unpack)
    start = functools.partial(
        Extractor,
        staging / _TREE,
        mode=plan.mode,
        limits=limits,
        keep_times=keep_times,
        check=from_thread.check_cancelled,
    )
    with await to_thread.run_sync(start) as extractor:
        async with _partials(partial, staging.parent) as partials:
            job = LayerJob(
                fetcher,
                plan.tasks,
                staging / _BLOBS,
                extractor,
                limits=limits,
                partials=partials,
                on_event=on_event,
            )
            await job.run()
        await to_thread.run_sync(extractor.finish)
        if extractor.special:
            on_event(
                Warned(action="unpack", text=f"{extractor.special} devices or FIFOs were left out")
            )
        return UnpackReport(
            files=extractor.files,
            bytes=extractor.bytes,
            skipped=plan.skipped,
            special=extractor.special,
        )
