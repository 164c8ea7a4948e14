"""The local package store: verified, atomic, shared between processes.

::

    <store>/layout/                 an image layout: manifests, configs, names; layers if they are kept
    <store>/packages/sha256/<hex>/  the unpacked files of a manifest, put in place by one rename
    <store>/receipts/sha256/<hex>   what was unpacked, with a digest for each file
    <store>/partial/                downloads that a later run goes on with
    <store>/indexes/                indexes that manifests were chosen from
    <store>/used/                   when each package was used last
    <store>/locks/                  one lock for the store, one for each content being installed

A package is installed when its name points to a manifest in the layout; that is the last step, so
a failed or killed `get` leaves nothing that another one could take for a package. Installing takes
the store's lock shared, removing takes it exclusively. Its files are read-only, because packages
with the same layers share them, by hard links.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import anyio
import platformdirs

from ..content import Fetcher, run_in_thread, select_manifest
from ..content.files import STALE_PARTIAL_S
from ..errors import IntegrityError, InvalidDocumentError, NotFoundError, storage_errors
from ..events import OnEvent, ignore
from ..layout import Layout
from ..package import UnpackLimits
from ..spec import Descriptor, Digest, Platform, Reference, annotations
from .catalog import Catalog, name_of, not_installed
from .cleaning import Cleaning
from .installing import Wishes, install_manifest
from .names import to_name
from .nearest import Nearest
from .receipts import OF_INSTALLED
from .retention import Use, beyond, check_retention
from .shelf import Shelf
from .values import Package, Problem, Pruned
from .verifying import verify_store

ENVIRONMENT = "OCIPKG_STORE"


def default_path() -> Path:
    """Return where the store lies: ``$OCIPKG_STORE``, else the user's data folder."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen) if chosen else platformdirs.user_data_path("ocipkg-async", appauthor=False)


class LocalStore:
    """Installed packages. Open one with `LocalStore.open`; it holds no resource between calls."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.layout = layout
        self._shelf = Shelf(path, layout)
        self._catalog = Catalog(self._shelf)

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
        keep_layers: bool = False,
        resume: bool = True,
        on_event: OnEvent = ignore,
    ) -> Package:
        """Install a package from any store; what is here and unchanged is not fetched again.

        Processes that install the same content at once do it one after the other, so the second
        finds it done. Of an installed package with the same layers hard links are made.

        Args:
            source: where it is.
            root: its manifest, or an index to choose from.
            reference: the name it gets.
            platform: which manifest of an index; None is the host's.
            limits: bounds for unpacking.
            concurrency: blobs in flight.
            keep_layers: keep the layers as well, to write the package to archives without its
                registry; it takes twice the space.
            resume: go on with downloads that earlier calls left, and leave what is unfinished.
            on_event: called with what happens.

        Raises:
            NotFoundError: the source lacks something, or the index has nothing for the platform.
            InvalidPlatformError: a package for this platform cannot be named.
            IntegrityError: the source gave wrong bytes.
            InvalidPackageError: a layer cannot be unpacked safely.
            StorageError: the file system refused.
        """
        name = to_name(reference, platform)
        wishes = Wishes(
            limits=limits or UnpackLimits(),
            concurrency=concurrency,
            keep_layers=keep_layers,
            resume=resume,
            on_event=on_event,
        )
        async with self._shelf.locked(shared=True):
            manifest = await select_manifest(self._shelf.nearest(source), root, platform)
            await install_manifest(self._shelf, source, manifest, name, wishes)
        return self._catalog.package(reference, platform, manifest)

    async def find(self, reference: Reference, platform: Platform | None = None) -> Package:
        """Return an installed package, without asking a registry.

        Raises:
            NotFoundError: it is not installed, or its files are gone.
        """
        # Nobody takes for unused what is found just now.
        async with self._shelf.locked(shared=True):
            descriptor = await self._catalog.entry(reference, platform)
            manifest = await select_manifest(self.layout, descriptor)
            package = self._catalog.package(reference, platform, manifest)
            if not await run_in_thread(package.path.is_dir):
                raise not_installed(reference, platform, "is damaged: its files are gone")
            await self._shelf.touch(to_name(reference, platform))
        return package

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
        async with self._shelf.locked(shared=True):
            entries = {
                (entry.annotations or {}).get(annotations.REF_NAME, ""): entry.plain()
                for entry in await self.layout.entries()
                if entry.digest == digest
            }
            if not entries:
                return None
            try:
                manifest = await select_manifest(self.layout, next(iter(entries.values())))
            except (IntegrityError, InvalidDocumentError, NotFoundError):
                return None  # damaged: whoever installs it again mends it
            if not await self._shelf.has_files(manifest, OF_INSTALLED):
                return None
            if name not in entries:
                await self.layout.tag(manifest.descriptor, name)
            await self._shelf.touch(name)
        return self._catalog.package(reference, platform, manifest)

    async def packages(self) -> list[Package]:
        """Return all installed packages, sorted by name.

        Raises:
            InvalidLayoutError, StorageError: the store is damaged, or cannot be read.
        """
        # Nobody removes anything while manifests are read.
        async with self._shelf.locked(shared=True):
            return await self._catalog.packages()

    async def remove(self, reference: Reference, platform: Platform | None = None) -> Package:
        """Remove a package: its name, its files, and the blobs that nothing else needs.

        Raises:
            NotFoundError: it is not installed.
            StorageError: the file system refused.
        """
        async with self._shelf.locked(shared=False):
            entry = await self._catalog.entry(reference, platform)
            package = await self._catalog.listed(reference, platform, entry)
            # Others may want to go on with what they began to fetch.
            await self._drop([package], partials_grace_s=STALE_PARTIAL_S, dry_run=False)
        return package

    async def prune(
        self,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove what no installed package needs, and packages that are too old or too many.

        Left-overs of killed or failed runs go always. Waits until nobody installs.

        Args:
            older_than_s: remove packages that were not installed or looked for in so many seconds.
            keep: remove all but so many of each repository and platform, those used last. With
                `older_than_s` what is among them stays however old it is, and what is not goes if
                it is old enough.
            dry_run: only tell what would be removed.

        Raises:
            InvalidArgumentError: an option is out of its range.
            InvalidLayoutError, StorageError: the store is damaged, or the file system refused.
        """
        check_retention(older_than_s=older_than_s, keep=keep)
        async with self._shelf.locked(shared=dry_run):
            stamps, named = self._shelf.stamps, await self._catalog.packages()
            uses = await run_in_thread(
                lambda: [Use(one, stamps.last_s(name_of(one), one.path)) for one in named]
            )
            gone = beyond(uses, now_s=time.time(), older_than_s=older_than_s, keep=keep)
            return await self._drop(gone, partials_grace_s=0, dry_run=dry_run)

    async def _drop(
        self, packages: list[Package], *, partials_grace_s: float, dry_run: bool
    ) -> Pruned:
        """Remove packages and what nothing needs; the store's lock is held."""
        names = [name_of(package) for package in packages]
        cleaning = Cleaning(self._shelf, gone=names, partials_grace_s=partials_grace_s)
        pruned = await cleaning.run(tuple(packages), dry_run=dry_run)
        if not dry_run:
            await run_in_thread(
                cleaning.keep_stamps, list(map(name_of, await self._catalog.packages()))
            )
        return pruned

    async def verify(self, *, limits: UnpackLimits | None = None) -> list[Problem]:
        """Read everything again, and compare each file with what was unpacked.

        A package of an earlier version, which noted nothing, is unpacked again beside the store.

        Args:
            limits: bounds for unpacking, as they were given to `install`.

        Returns:
            what is wrong; empty when nothing is.

        Raises:
            StorageError: a file cannot be read, or there is no space to unpack.
        """
        async with self._shelf.locked(shared=True):
            named = [(name_of(package), package) for package in await self._catalog.packages()]
            return await verify_store(self._shelf, named, limits or UnpackLimits())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Keep everybody from removing anything while the block runs."""
        async with self._shelf.locked(shared=True):
            yield

    def with_source(self, source: Fetcher) -> Nearest:
        """Return a store to read from: documents and layers of this one, and what it lacks of `source`."""
        return self._shelf.nearest(source)
