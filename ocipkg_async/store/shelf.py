"""Where a store keeps its parts on the disk, and who may touch them."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import from_thread

from ..content import Fetcher, run_in_thread
from ..content.locks import file_lock
from ..errors import storage_errors
from ..layout import Layout
from ..layout.blob_folder import BlobFolder
from ..package import UnpackLimits
from ..spec import Digest, Manifest
from .checking import differences
from .nearest import Nearest
from .receipts import Receipt, Receipts
from .stamps import Stamps

STORE_LOCK = "store.lock"


class Shelf:
    """The parts of one store; `LocalStore` says how they lie on the disk.

    Attributes:
        path: the store's folder.
        layout: manifests, configs, names, and layers that are kept.
        packages: the unpacked files.
        partials: downloads that a later run may go on with.
        locks: lock files.
        receipts: what was unpacked.
        stamps: when packages were used.
        indexes: indexes that manifests were chosen from.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.layout = layout
        self.packages = path / "packages"
        self.partials = path / "partial"
        self.locks = path / "locks"
        self.receipts = Receipts(path / "receipts")
        self.stamps = Stamps(path / "used")
        self.indexes = BlobFolder(path / "indexes", writable=True, durable=False)

    def folder(self, digest: Digest) -> Path:
        """Return where the files of a manifest are."""
        return self.packages / digest.algorithm / digest.encoded

    def nearest(self, source: Fetcher) -> Nearest:
        """Return a store to read from: this one before `source`."""
        return Nearest(self.layout, self.indexes, source)

    @asynccontextmanager
    async def locked(self, *, shared: bool) -> AsyncIterator[None]:
        """Hold the store's lock: shared to read and install, else to remove."""
        async with file_lock(self.locks / STORE_LOCK, shared=shared):
            yield

    async def touch(self, name: str) -> None:
        """Note that a package is used."""
        await run_in_thread(partial(self.stamps.touch, name, now_s=time.time()))

    async def has_files(self, manifest: Manifest, limits: UnpackLimits) -> bool:
        """Whether the files of a manifest are here, unchanged as far as sizes and times tell.

        Raises:
            LimitExceededError: there are more than the limits allow.
            StorageError: they cannot be examined.
        """
        folder = self.folder(manifest.digest)

        def check() -> bool | None:
            with storage_errors(f"examine {folder}"):
                if not folder.is_dir():
                    return False
                receipt = self.receipts.intact(manifest.digest, limits)
                if receipt is None:
                    return None
                found = differences(
                    receipt.listing, folder, thorough=False, check=from_thread.check_cancelled
                )
                return next(found, None) is None

        known = await run_in_thread(check)
        # An earlier version kept all layers beside the files, and made no receipt.
        return await self.has_blobs(manifest) if known is None else known

    async def has_blobs(self, manifest: Manifest) -> bool:
        """Whether the config and all layers of a manifest are here."""
        for blob in manifest.successors:
            here = await self.layout.size_of(blob.digest) == blob.size
            if not here and blob.data is None:
                return False
        return True

    def make_room(self, digest: Digest, receipt: Receipt, aside: Path) -> None:
        """Note what was unpacked of a manifest, whose folder is put in place next; blocks.

        Args:
            digest: the manifest.
            receipt: what was unpacked.
            aside: where to put what is in the way; it was damaged.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        folder = self.folder(digest)
        self.receipts.write(digest, receipt)
        with storage_errors(f"replace {folder}"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(folder):
                folder.rename(aside)
