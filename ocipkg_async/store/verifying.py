"""Finding what is wrong with a store: blobs, and the files of each package."""

import contextlib
import shutil
from collections.abc import Sequence
from functools import partial

from anyio import from_thread

from ..content import finish_in_thread, run_in_thread, select_manifest
from ..content.files import temp_name
from ..errors import (
    IntegrityError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    storage_errors,
)
from ..package import UnpackLimits, unpack_new
from ..spec import Digest, Manifest
from .checking import differences
from .receipts import Receipt
from .shelf import Shelf
from .trees import compare
from .values import Package, Problem


async def verify_store(
    shelf: Shelf, packages: Sequence[tuple[str, Package]], limits: UnpackLimits
) -> list[Problem]:
    """Return what is wrong; the store's lock is held, shared.

    Args:
        shelf: the store.
        packages: all installed packages, each with its name.
        limits: bounds for unpacking.

    Raises:
        StorageError: a file cannot be read, or there is no space to unpack.
    """
    verifying = _Verifying(shelf, limits)
    for name, package in packages:
        await verifying.read(name, package)
    problems = await verifying.blobs()
    for name, package in packages:
        found = await verifying.files(name, package)
        problems.extend(Problem(what=name, message=message) for message in found)
    return problems


class _Verifying:
    def __init__(self, shelf: Shelf, limits: UnpackLimits) -> None:
        self._shelf = shelf
        self._limits = limits
        self._receipts: dict[str, Receipt] = {}
        self._manifests: dict[str, Manifest] = {}
        self._unclear: dict[str, str] = {}
        self._wrong: set[Digest] = set()

    async def read(self, name: str, package: Package) -> None:
        """Read what is known of a package."""
        digest = package.descriptor.digest
        # What cannot be read is among the blobs that are wrong.
        with contextlib.suppress(IntegrityError, InvalidDocumentError, NotFoundError):
            self._manifests[name] = await select_manifest(self._shelf.layout, package.descriptor)
        try:
            receipt = await run_in_thread(self._shelf.receipts.read, digest, self._limits)
        except (InvalidDocumentError, LimitExceededError) as error:
            self._unclear[name] = str(error)
        else:
            if receipt is not None:
                self._receipts[name] = receipt

    async def blobs(self) -> list[Problem]:
        """Hash all blobs. Layers that were unpacked need not be there."""
        unpacked: set[Digest] = set()
        needed: set[Digest] = set()
        for name, manifest in self._manifests.items():
            layers = {layer.digest for layer in manifest.layers}
            kept = self._shelf.receipts.keeps_layers
            listed = name in self._receipts or name in self._unclear
            only_files = listed and not await run_in_thread(kept, manifest.digest)
            (unpacked if only_files else needed).update(layers)
            if manifest.config is not None:
                needed.add(manifest.config.digest)
        spared = unpacked - needed
        found = [
            problem
            for problem in await self._shelf.layout.verify()
            if problem.kind != "missing" or problem.digest not in spared
        ]
        self._wrong = {problem.digest for problem in found}
        return [Problem(what="layout", message=str(problem)) for problem in found]

    async def files(self, name: str, package: Package) -> list[str]:
        """Compare the files of a package; behind `blobs`."""
        if name in self._unclear:
            return [self._unclear[name]]
        receipt = self._receipts.get(name)
        if receipt is not None:
            with storage_errors(f"read {package.path}"):
                return await run_in_thread(self._differences, receipt, package)
        manifest = self._manifests.get(name)
        if manifest is None or self._wrong & {blob.digest for blob in manifest.successors}:
            return []  # files cannot be compared with blobs that are wrong themselves
        return await self._compare(package, manifest)

    def _differences(self, receipt: Receipt, package: Package) -> list[str]:
        try:
            found = differences(
                receipt.listing, package.path, thorough=True, check=from_thread.check_cancelled
            )
            return [str(difference) for difference in found]
        except InvalidDocumentError as error:
            return [str(error)]

    async def _compare(self, package: Package, manifest: Manifest) -> list[str]:
        """Unpack a package again and compare each file."""
        fresh = self._shelf.packages / temp_name()
        try:
            await unpack_new(self._shelf.layout, manifest, fresh, limits=self._limits)
            with storage_errors(f"read {package.path}"):
                return [str(d) for d in await run_in_thread(compare, fresh, package.path)]
        finally:
            await finish_in_thread(partial(shutil.rmtree, fresh, ignore_errors=True))
