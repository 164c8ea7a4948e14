"""The local package store: verified, atomic, shared between processes.

::

    <store>/layout/                 an image layout: blobs shared between packages, names
    <store>/packages/sha256/<hex>/  the unpacked files of a manifest, put in place by one rename
    <store>/locks/                  one lock for the store, one for each package being installed

A package is installed when its name points to a manifest in the layout; that is the last step, so
a failed or killed `get` leaves nothing that another one could take for a package. Installing takes
the store's lock shared, removing takes it exclusively.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import anyio
import platformdirs

from ..content import Fetcher, finish_in_thread, run_in_thread, select_manifest
from ..content.files import STALE_PARTIAL_S, TEMP_PREFIX, temp_name
from ..content.locks import file_lock
from ..copy import copy_graph
from ..errors import IntegrityError, InvalidDocumentError, NotFoundError, storage_errors
from ..events import OnEvent, Warned, ignore
from ..layout import Layout
from ..package import UnpackLimits, unpack_new
from ..spec import Descriptor, Digest, Manifest, Platform, Reference, annotations
from .names import from_name, to_name
from .trees import Difference, compare

ENVIRONMENT = "OCIPKG_STORE"
_LOCK = "store.lock"


def default_path() -> Path:
    """Return where the store lies: ``$OCIPKG_STORE``, else the user's data folder."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen) if chosen else platformdirs.user_data_path("ocipkg-async", appauthor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package.

    Attributes:
        reference: its name.
        platform: the platform that was asked for, or None.
        descriptor: its manifest.
        path: the folder with its files.
        size: bytes of its config and layers, compressed.
    """

    reference: Reference
    platform: Platform | None
    descriptor: Descriptor
    path: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with an installed package or a blob.

    Attributes:
        what: the package or digest.
        message: what is wrong with it.
    """

    what: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What `LocalStore.prune` removed.

    Attributes:
        blobs: how many blobs and manifests.
        packages: how many unpacked folders without a name.
        bytes: bytes of the blobs.
    """

    blobs: int
    packages: int
    bytes: int


class LocalStore:
    """Installed packages. Open one with `LocalStore.open`; it holds no resource between calls."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.layout = layout
        self._packages = path / "packages"
        self._locks = path / "locks"

    @classmethod
    async def open(cls, path: Path | None = None) -> Self:
        """Open the store, creating it where it is missing.

        Args:
            path: its folder; None is `default_path`.

        Raises:
            StorageError: the folder cannot be made.
            InvalidLayoutError: the folder holds something else.
        """
        # A relative path would move with the working directory.
        folder = await run_in_thread(lambda: (path or default_path()).expanduser().absolute())
        with storage_errors(f"create the store {folder}"):
            for sub in ("packages", "locks"):
                await anyio.Path(folder / sub).mkdir(parents=True, exist_ok=True)
        return cls(folder, await Layout.open(folder / "layout", create=True))

    async def install(
        self,
        source: Fetcher,
        root: Descriptor,
        reference: Reference,
        *,
        platform: Platform | None = None,
        limits: UnpackLimits | None = None,
        concurrency: int = 6,
        on_event: OnEvent = ignore,
    ) -> Package:
        """Install a package from any store; what is installed already is not fetched again.

        Processes that install the same package at once do it one after the other, so the second
        finds it done.

        Args:
            source: where it is.
            root: its manifest, or an index to choose from.
            reference: the name it gets.
            platform: which manifest of an index; None is the host's.
            limits: bounds for unpacking.
            concurrency: blobs in flight.
            on_event: called with what happens.

        Raises:
            NotFoundError: the source lacks something, or the index has nothing for the platform.
            InvalidPlatformError: a package for this platform cannot be named.
            IntegrityError: the source gave wrong bytes.
            InvalidPackageError: a layer cannot be unpacked safely.
            StorageError: the file system refused.
        """
        name = to_name(reference, platform)
        async with self._locked(shared=True):
            manifest = await select_manifest(source, root, platform)
            folder = self._folder(manifest.digest)
            async with file_lock(
                self._locks / f"{manifest.digest.algorithm}-{manifest.digest.encoded}"
            ):
                fetch = partial(
                    copy_graph,
                    source,
                    self.layout,
                    manifest.descriptor,
                    deep=True,
                    concurrency=concurrency,
                    action="download",
                    on_event=on_event,
                )
                await fetch()
                if not await run_in_thread(folder.is_dir):
                    with storage_errors(f"create {folder.parent}"):
                        await anyio.Path(folder.parent).mkdir(parents=True, exist_ok=True)
                    unpack = partial(
                        unpack_new, self.layout, manifest, folder, limits=limits, on_event=on_event
                    )
                    try:
                        report = await unpack()
                    except IntegrityError:
                        # A power failure may have taken the bytes of a blob that had its name.
                        if not await self._drop_damaged(manifest):
                            raise
                        await fetch()
                        report = await unpack()
                    for layer, reason in report.skipped:
                        text = f"{layer.digest.short} is left out: {reason}"
                        on_event(Warned(action="unpack", descriptor=layer, text=text))
                await self.layout.tag(manifest.descriptor, name)
        return self._package(reference, platform, manifest)

    async def _drop_damaged(self, manifest: Manifest) -> bool:
        """Remove blobs of a manifest that are not what their digest says; return whether any was."""
        damaged = False
        for blob in manifest.successors:
            try:
                async with self.layout.fetch(blob) as reader:
                    await reader.drain(len)
            except IntegrityError:
                await self.layout.delete(blob)
                damaged = True
            except NotFoundError:
                continue  # embedded in the manifest
        return damaged

    async def find(self, reference: Reference, platform: Platform | None = None) -> Package:
        """Return an installed package, without asking a registry.

        Raises:
            NotFoundError: it is not installed.
        """
        descriptor = await self._entry(reference, platform)
        return self._package(reference, platform, await select_manifest(self.layout, descriptor))

    async def adopt(
        self, digest: Digest, reference: Reference, platform: Platform | None = None
    ) -> Package | None:
        """Let a name stand for a manifest whose files are here, under any name; None if they are not.

        Those that lost their name to a newer package are here until somebody prunes.

        Raises:
            InvalidPlatformError: a package for this platform cannot be named.
            StorageError: the file system refused.
        """
        name = to_name(reference, platform)
        async with self._locked(shared=True):
            entries = {
                (entry.annotations or {}).get(annotations.REF_NAME, ""): entry.plain()
                for entry in await self.layout.entries()
                if entry.digest == digest
            }
            if not entries or not await run_in_thread(self._folder(digest).is_dir):
                return None
            try:
                manifest = await select_manifest(self.layout, next(iter(entries.values())))
            except (IntegrityError, InvalidDocumentError, NotFoundError):
                return None  # damaged: whoever installs it again mends it
            if name not in entries:
                await self.layout.tag(manifest.descriptor, name)
        return self._package(reference, platform, manifest)

    async def _entry(self, reference: Reference, platform: Platform | None) -> Descriptor:
        wanted = to_name(reference, platform)
        for entry in await self.layout.entries():
            if (entry.annotations or {}).get(annotations.REF_NAME) == wanted:
                return entry.plain()
        raise NotFoundError(
            f"{wanted} is not installed",
            hint=f"install it with: ocipkg-async get {reference.with_default_tag()}"
            + (f" --platform {platform}" if platform else ""),
        )

    async def _listed(
        self, reference: Reference, platform: Platform | None, descriptor: Descriptor
    ) -> Package:
        """Describe a package for a list; `verify` tells of damage, and removing must mend it."""
        try:
            manifest = await select_manifest(self.layout, descriptor)
        except (IntegrityError, InvalidDocumentError, NotFoundError):
            return Package(
                reference=reference.with_default_tag(),
                platform=platform,
                descriptor=descriptor,
                path=self._folder(descriptor.digest),
                size=descriptor.size,
            )
        return self._package(reference, platform, manifest)

    async def packages(self) -> list[Package]:
        """Return all installed packages, sorted by name.

        Raises:
            InvalidLayoutError, StorageError: the store is damaged, or cannot be read.
        """
        # Nobody removes anything while manifests are read.
        async with self._locked(shared=True):
            return await self._named()

    async def _named(self) -> list[Package]:
        found: list[Package] = []
        for entry in await self.layout.entries():
            known = from_name((entry.annotations or {}).get(annotations.REF_NAME, ""))
            if known is not None:
                found.append(await self._listed(*known, entry.plain()))
        return sorted(found, key=lambda p: to_name(p.reference, p.platform))

    async def remove(self, reference: Reference, platform: Platform | None = None) -> Package:
        """Remove a package: its name, its files, and the blobs that nothing else needs.

        Raises:
            NotFoundError: it is not installed.
            StorageError: the file system refused.
        """
        async with self._locked(shared=False):
            entry = await self._entry(reference, platform)
            package = await self._listed(reference, platform, entry)
            await self.layout.untag(to_name(reference, platform))
            # Others may want to go on with what they began to fetch.
            await self._sweep(partials_grace_s=STALE_PARTIAL_S)
        return package

    async def prune(self) -> Pruned:
        """Remove everything that no installed package needs: left-overs of killed or failed runs.

        Waits until nobody installs.

        Raises:
            StorageError: the file system refused.
        """
        async with self._locked(shared=False):
            return await self._sweep(partials_grace_s=0)

    async def verify(self, *, limits: UnpackLimits | None = None) -> list[Problem]:
        """Read everything again, and unpack it again beside the store to compare every file.

        Args:
            limits: bounds for unpacking, as they were given to `install`.

        Returns:
            what is wrong; empty when nothing is.

        Raises:
            StorageError: a file cannot be read, or there is no space to unpack.
        """
        async with self._locked(shared=True):
            broken = [Problem(what="layout", message=str(p)) for p in await self.layout.verify()]
            if broken:
                return broken  # files cannot be compared with blobs that are wrong themselves
            problems: list[Problem] = []
            for package in await self._named():
                what = to_name(package.reference, package.platform)
                problems.extend(
                    Problem(what=what, message=str(d)) for d in await self._compare(package, limits)
                )
        return problems

    async def _compare(self, package: Package, limits: UnpackLimits | None) -> list[Difference]:
        manifest = await select_manifest(self.layout, package.descriptor)
        fresh = self._packages / temp_name()
        try:
            await unpack_new(self.layout, manifest, fresh, limits=limits)
            with storage_errors(f"read {package.path}"):
                return await run_in_thread(compare, fresh, package.path)
        finally:
            await finish_in_thread(partial(shutil.rmtree, fresh, ignore_errors=True))

    async def _sweep(self, *, partials_grace_s: float) -> Pruned:
        """Remove what no name leads to; the exclusive lock is held."""
        documents = [
            entry.plain()
            for entry in await self.layout.entries()
            if from_name((entry.annotations or {}).get(annotations.REF_NAME, "")) is None
        ]
        for document in documents:
            await self.layout.delete(document)
        kept = {self._folder(entry.digest) for entry in await self.layout.entries()}
        blobs = await self.layout.collect(grace_s=0, partials_grace_s=partials_grace_s)
        with storage_errors(f"clean {self._packages}"):
            packages = await run_in_thread(self._remove_folders, kept)
        return Pruned(
            blobs=len(documents) + len(blobs),
            packages=packages,
            bytes=sum(d.size for d in documents) + sum(size for _, size in blobs),
        )

    def _remove_folders(self, kept: set[Path]) -> int:
        removed = 0
        for folder in self._packages.glob("*/*"):
            parent = folder.parent
            if parent.name.startswith(TEMP_PREFIX) or parent.is_symlink():
                continue  # behind a link lies what is not the store's
            if folder not in kept:
                # Out of sight first: a folder is there whole or not at all.
                hidden = self._packages / temp_name()
                folder.rename(hidden)
                removed += not folder.name.startswith(TEMP_PREFIX)
        for hidden in self._packages.glob(f"{TEMP_PREFIX}*"):
            if hidden.is_dir() and not hidden.is_symlink():
                shutil.rmtree(hidden)
            else:
                hidden.unlink()  # a file manager's, or a link
        for lock in self._locks.iterdir():
            if lock.name != _LOCK:
                lock.unlink()
        return removed

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Keep everybody from removing anything while the block runs."""
        async with self._locked(shared=True):
            yield

    def _package(
        self, reference: Reference, platform: Platform | None, manifest: Manifest
    ) -> Package:
        return Package(
            reference=reference.with_default_tag(),
            platform=platform,
            descriptor=manifest.descriptor,
            path=self._folder(manifest.digest),
            size=sum(descriptor.size for descriptor in manifest.successors),
        )

    def _folder(self, digest: Digest) -> Path:
        return self._packages / digest.algorithm / digest.encoded

    @asynccontextmanager
    async def _locked(self, *, shared: bool) -> AsyncIterator[None]:
        async with file_lock(self._locks / _LOCK, shared=shared):
            yield
