"""Getting the files of one manifest into a store: from another package, or from its layers."""

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from anyio import from_thread

from ..content import (
    BytesSource,
    Fetcher,
    FetchSource,
    fetch_bytes,
    finish_in_thread,
    run_in_thread,
)
from ..content.files import (
    STALE_AFTER_S,
    TEMP_PREFIX,
    remove_stale,
    remove_tree,
    temp_name,
)
from ..content.locks import file_lock, lock_if_free
from ..copy import copy_graph
from ..errors import IntegrityError, NotFoundError, StorageError, storage_errors
from ..events import OnEvent, Skipped, Warned
from ..package import UnpackLimits, unpack_new
from ..package.layer_plan import IMAGE_CONFIGS, UnpackPlan, plan_unpack
from ..package.listing import ListedFolder
from ..spec import Manifest
from .link_tree import ChangedError, link_tree
from .nearest import Nearest
from .receipts import Receipt
from .shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a package is to be installed.

    Attributes:
        limits: bounds for unpacking.
        concurrency: layers in flight.
        keep_layers: keep the layers, too.
        resume: go on with unfinished downloads, and leave them for others.
        on_event: called with what happens.
    """

    limits: UnpackLimits
    concurrency: int
    keep_layers: bool
    resume: bool
    on_event: OnEvent


async def install_manifest(
    shelf: Shelf, source: Fetcher, manifest: Manifest, name: str, wishes: Wishes
) -> None:
    """Install the files of a manifest and name them; the store's lock is held, shared.

    Raises:
        OCIError: as `LocalStore.install`.
    """
    near = shelf.nearest(source)
    config = manifest.config
    if config is not None:
        data = config.check("the config").data
        await near.mend(config)
        await shelf.layout.push(
            config, FetchSource(near, config) if data is None else BytesSource(data)
        )
    image = config is not None and config.media_type in IMAGE_CONFIGS
    raw = await fetch_bytes(near, config) if image and config is not None else None
    key = content_key(plan_unpack(manifest, raw, limits=wishes.limits))
    # Who wants the same files waits, whatever the manifest, and finds them.
    async with file_lock(shelf.locks / key):
        if await run_in_thread(shelf.receipts.keeps_layers, manifest.digest):
            wishes = replace(wishes, keep_layers=True)
        here = await shelf.has_files(manifest, wishes.limits)
        if here:
            # A process that is killed between its rename and the end leaves this.
            await _clear(_workplace_path(shelf, key))
        else:
            async with _workplace(shelf, key) as work:
                here = await _from_other(shelf, manifest, key, work, wishes.limits)
                if not here:
                    building = _Building(
                        shelf=shelf,
                        near=near,
                        manifest=manifest,
                        key=key,
                        work=work,
                        wishes=wishes,
                    )
                    await building.run()
        if here:
            _tell(manifest, wishes.on_event)
            if wishes.keep_layers:
                await _keep_layers(shelf, near, manifest, wishes)
        await shelf.layout.push_tagged(manifest.descriptor, BytesSource(manifest.raw), name)
        await shelf.touch(name)


def content_key(plan: UnpackPlan) -> str:
    """Return what stands for all that decides which files there will be."""
    tasks = [
        [
            task.descriptor.media_type,
            task.descriptor.digest,
            task.role,
            task.path,
            task.base,
            task.under,
            task.diff_id,
            task.content_digest,
        ]
        for task in plan.tasks
    ]
    return hashlib.sha256(json.dumps([plan.mode, tasks]).encode()).hexdigest()


def _tell(manifest: Manifest, on_event: OnEvent) -> None:
    for layer in manifest.layers:
        name = layer.title or layer.digest.short
        on_event(Skipped(action="download", descriptor=layer, name=name, reason="exists"))


async def _keep_layers(shelf: Shelf, near: Nearest, manifest: Manifest, wishes: Wishes) -> None:
    await copy_graph(
        near,
        shelf.layout,
        manifest.descriptor,
        deep=True,
        concurrency=wishes.concurrency,
        action="download",
        on_event=wishes.on_event,
    )
    await run_in_thread(shelf.receipts.keep_layers, manifest.digest)


async def _from_other(
    shelf: Shelf, manifest: Manifest, key: str, work: Path, limits: UnpackLimits
) -> bool:
    """Make the folder of hard links to an installed package with the same files, if there is one."""
    for digest in await run_in_thread(shelf.receipts.with_key, key):
        if digest == manifest.digest:
            continue
        receipt = await run_in_thread(shelf.receipts.intact, digest, limits)
        if receipt is None:
            continue
        linked = work / temp_name()

        def link(receipt: Receipt, other: Path, linked: Path) -> bool:
            folder = shelf.folder(manifest.digest)
            with storage_errors(f"write {folder}"):
                try:
                    link_tree(receipt.listing, other, linked, check=from_thread.check_cancelled)
                except (ChangedError, FileNotFoundError):
                    return False
                shelf.make_room(manifest.digest, receipt, work / temp_name())
                linked.rename(folder)
            return True

        if await run_in_thread(link, receipt, shelf.folder(digest), linked):
            return True
    return False


_WORKPLACE = f"{TEMP_PREFIX}0-"


def _workplace_path(shelf: Shelf, key: str) -> Path:
    return shelf.packages / f"{_WORKPLACE}{key}"


@contextlib.asynccontextmanager
async def _workplace(shelf: Shelf, key: str) -> AsyncIterator[Path]:
    """Make a folder to build in, where the lock on `key` keeps others out, and remove it.

    What killed processes left goes, too: of the same content, and of others if it is old.
    """
    path = _workplace_path(shelf, key)

    def make() -> None:
        now_s = time.time()
        remove_stale(shelf.packages, now_s=now_s)
        for other in shelf.packages.glob(f"{_WORKPLACE}*"):
            if other != path:
                with contextlib.suppress(OSError, StorageError):
                    _remove_stale_workplace(shelf, other, before_s=now_s - STALE_AFTER_S)
        with storage_errors(f"create {path}"):
            remove_tree(path)
            path.mkdir(mode=0o700)

    try:
        await run_in_thread(make)
        yield path
    finally:
        await _clear(path)


def _remove_stale_workplace(shelf: Shelf, path: Path, *, before_s: float) -> None:
    """Remove the workplace of other content if it is old and nobody builds there: by its lock."""
    if path.lstat().st_mtime >= before_s:
        return
    with lock_if_free(shelf.locks / path.name.removeprefix(_WORKPLACE)) as free:
        # Looked at again under the lock: somebody may have begun anew just now.
        if free and path.lstat().st_mtime < before_s:
            remove_tree(path)


async def _clear(workplace: Path) -> None:
    await finish_in_thread(partial(shutil.rmtree, workplace, ignore_errors=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Building:
    """Unpacks the layers of one manifest."""

    shelf: Shelf
    near: Nearest
    manifest: Manifest
    key: str
    work: Path
    wishes: Wishes

    async def run(self) -> None:
        """Unpack; layers of the layout that turn out to be damaged are fetched again."""
        try:
            await self._unpack()
        except IntegrityError:
            # A power failure may have taken the bytes of a blob that had its name.
            if not await self._drop_damaged():
                raise
            await self._unpack()

    async def _unpack(self) -> None:
        shelf, manifest, wishes = self.shelf, self.manifest, self.wishes
        if wishes.keep_layers:
            await _keep_layers(shelf, self.near, manifest, wishes)

        def before(listing: ListedFolder) -> None:
            receipt = Receipt(key=self.key, listing=listing)
            shelf.make_room(manifest.digest, receipt, self.work / temp_name())

        report = await unpack_new(
            self.near,
            manifest,
            shelf.folder(manifest.digest),
            limits=wishes.limits,
            # A tool that writes to a file in place would change it in other packages, too.
            read_only=True,
            workplace=self.work,
            partial=shelf.partials,
            resume=wishes.resume,
            concurrency=wishes.concurrency,
            before=before,
            action="download",
            on_event=wishes.on_event,
        )
        for layer, reason in report.skipped:
            text = f"{layer.digest.short} is left out: {reason}"
            wishes.on_event(Warned(action="unpack", descriptor=layer, text=text))

    async def _drop_damaged(self) -> bool:
        """Remove blobs that are not what their digest says; return whether any was."""
        layout, damaged = self.shelf.layout, False
        for blob in self.manifest.successors:
            try:
                async with layout.fetch(blob) as reader:
                    await reader.drain(len)
            except IntegrityError:
                with contextlib.suppress(NotFoundError):  # another process was faster
                    await layout.delete(blob)
                damaged = True
            except NotFoundError:
                continue  # embedded in the manifest, or not kept
        return damaged
