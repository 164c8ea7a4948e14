"""Blocking verbs that move content, install it, and tell how it is linked."""

from collections.abc import Sequence
from pathlib import Path

from ..copy import CopyReport
from ..native import LibraryKind, Linkage
from ..package import (
    Unpack,
    UnpackReport,
)
from ..spec import Descriptor, Platform, Reference
from ..store import LockFile, Package
from .open_client import OpenClient


class MovingVerbs(OpenClient):
    """Blocking verbs that move content, install it, and tell how it is linked; see `ocipkg_async.sync.Client`."""

    def push(
        self, source: str, to: str | Reference | None = None
    ) -> list[tuple[Reference, Descriptor]]:
        """Push what an archive or layout holds, to the names it holds or to `to`."""
        return self._bridge.call(self._client.push, source, to)

    def get(
        self,
        reference: str | Reference,
        *,
        platform: str | Platform | None = None,
        lock: Path | LockFile | None = None,
        offline: bool = False,
    ) -> Package:
        """Install a package from a registry into the local store."""
        return self._bridge.call(
            self._client.get, reference, platform=platform, lock=lock, offline=offline
        )

    def link(
        self,
        reference: str | Reference,
        *,
        target: str | Platform | None = None,
        kind: LibraryKind | None = None,
        name: str | None = None,
        lock: Path | LockFile | None = None,
        offline: bool = False,
    ) -> Linkage:
        """Tell how to link a package, which is installed where it is missing."""
        return self._bridge.call(
            self._client.link,
            reference,
            target=target,
            kind=kind,
            name=name,
            lock=lock,
            offline=offline,
        )

    def lock(
        self,
        references: Sequence[str | Reference],
        file: Path,
        *,
        update: bool = False,
        remove: Sequence[str | Reference] = (),
    ) -> LockFile:
        """Write down which digests references have now, for all platforms, in a lock file."""
        return self._bridge.call(self._client.lock, references, file, update=update, remove=remove)

    def load(self, source: str, *, name: str | Reference | None = None) -> list[Package]:
        """Install what an archive or layout holds into the local store, under the names it holds."""
        return self._bridge.call(self._client.load, source, name=name)

    def save(
        self, reference: str | Reference, output: str, *, overwrite: bool = False
    ) -> Descriptor:
        """Write a package from the local store, or else from its registry, to an archive or layout."""
        return self._bridge.call(self._client.save, reference, output, overwrite=overwrite)

    def pull(
        self,
        source: str | Reference,
        destination: Path,
        *,
        platform: str | Platform | None = None,
        overwrite: bool = False,
        unpack_directories: Unpack = "auto",
    ) -> UnpackReport:
        """Write the files of a package, image or artifact into a folder."""
        return self._bridge.call(
            self._client.pull,
            source,
            destination,
            platform=platform,
            overwrite=overwrite,
            unpack_directories=unpack_directories,
        )

    def copy(
        self,
        source: str | Reference,
        destination: str | Reference,
        *,
        platform: str | Platform | None = None,
        deep: bool = False,
        overwrite: bool = False,
    ) -> CopyReport:
        """Copy a package, image or index with everything below it from any target to any target."""
        return self._bridge.call(
            self._client.copy,
            source,
            destination,
            platform=platform,
            deep=deep,
            overwrite=overwrite,
        )
