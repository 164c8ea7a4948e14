"""The verbs of the blocking client, each a call into the async one."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .. import client as _async
from ..client import ClientOptions, CratePackage, Inspection
from ..copy import CopyReport
from ..errors import ClosedError, InvalidArgumentError
from ..events import OnEvent, ignore
from ..native import LibraryKind, Linkage, LinkMetadata
from ..package import (
    ArtifactFile,
    Compression,
    PackageFile,
    PackageFormat,
    RunConfig,
    Unpack,
    UnpackReport,
)
from ..package.cargo import CargoOptions, OnOutput, ignore_output
from ..spec import Descriptor, Platform, Reference
from ..store import LockFile, Package, Problem, Pruned
from ..transport import CredentialProvider
from .bridge import Bridge


class Client:
    """The blocking twin of `ocipkg_async.Client`; use it in a ``with`` block.

    Args:
        options: how it works; `ClientOptions` has the defaults.
        credentials: where user names and passwords come from; None reads the credential files and
            helpers of Docker and podman.
        on_event: called with what happens, in the client's thread.
    """

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        credentials: CredentialProvider | None = None,
        on_event: OnEvent = ignore,
    ) -> None:
        self._client = _async.Client(options, credentials=credentials, on_event=on_event)
        self._open: Bridge | None = None

    def __enter__(self) -> Self:
        """Open the client: start its thread."""
        if self._open is not None:
            raise InvalidArgumentError(
                "the client is open already", hint="one `with` serves all calls, from any thread"
            )
        bridge = Bridge()
        try:
            bridge.call(self._client.__aenter__)
        except BaseException:
            bridge.stop()
            raise
        self._open = bridge
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections and end the thread."""
        bridge, self._open = self._open, None
        # A forked child has nothing to close: the parent has the connections.
        if bridge is not None and not bridge.inherited:
            try:
                bridge.call(self._client.__aexit__, kind, error, trace)
            finally:
                bridge.stop()

    def __del__(self) -> None:
        """Warn about a client that was not closed; its daemon thread ends with the process."""
        bridge = getattr(self, "_open", None)
        if bridge is not None and not bridge.inherited:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=1, source=self)

    @property
    def options(self) -> ClientOptions:
        """How the client works."""
        return self._client.options

    @property
    def _bridge(self) -> Bridge:
        if self._open is None:
            raise ClosedError(
                "the client is not open", hint="use it inside: with Client() as client"
            )
        return self._open

    def pack(
        self,
        paths: Sequence[Path],
        output: str,
        *,
        named: Mapping[str, Path] | None = None,
        format: PackageFormat = "ocipkg-v1",  # noqa: A002 - the word for it
        platform: str | Platform | None = None,
        link: LinkMetadata | None = None,
        name: str | None = None,
        compression: Compression | None = None,
        annotations: Mapping[str, str] | None = None,
        follow_symlinks: bool = False,
        overwrite: bool = False,
    ) -> Descriptor:
        """Make a package of files and directories; the same input gives the same digest."""
        return self._bridge.call(
            self._client.pack,
            paths,
            output,
            named=named,
            format=format,
            platform=platform,
            link=link,
            name=name,
            compression=compression,
            annotations=annotations,
            follow_symlinks=follow_symlinks,
            overwrite=overwrite,
        )

    def push_files(
        self,
        reference: str | Reference,
        files: Sequence[ArtifactFile],
        *,
        artifact_type: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """Push files and directories as an artifact, one layer each, as ORAS does."""
        return self._bridge.call(
            self._client.push_files,
            reference,
            files,
            artifact_type=artifact_type,
            annotations=annotations,
        )

    def index(
        self,
        sources: Sequence[tuple[str | Reference, str | Platform | None]],
        output: str,
        *,
        name: str | None = None,
        annotations: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> Descriptor:
        """Make one index of several packages or images, one for each platform."""
        return self._bridge.call(
            self._client.index,
            sources,
            output,
            name=name,
            annotations=annotations,
            overwrite=overwrite,
        )

    def pack_runnable(
        self,
        executables: Sequence[Path],
        output: str,
        *,
        name: str | None = None,
        name_as: str | None = None,
        config: RunConfig | None = None,
        compression: Compression | None = None,
        annotations: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> Descriptor:
        """Make an image that runs a static program; of programs for several platforms, an index."""
        return self._bridge.call(
            self._client.pack_runnable,
            executables,
            output,
            name=name,
            name_as=name_as,
            config=config,
            compression=compression,
            annotations=annotations,
            overwrite=overwrite,
        )

    def cargo_build(
        self,
        output: str | None = None,
        *,
        options: CargoOptions | None = None,
        name: str | None = None,
        headers: Sequence[str] = (),
        format: PackageFormat = "ocipkg-v1",  # noqa: A002 - the word for it
        compression: Compression | None = None,
        annotations: Mapping[str, str] | None = None,
        allow_dirty: bool = False,
        overwrite: bool = False,
        on_output: OnOutput = ignore_output,
    ) -> CratePackage:
        """Build a crate with cargo, and make a package of its libraries and programs."""
        return self._bridge.call(
            self._client.cargo_build,
            output,
            options=options,
            name=name,
            headers=headers,
            format=format,
            compression=compression,
            annotations=annotations,
            allow_dirty=allow_dirty,
            overwrite=overwrite,
            on_output=on_output,
        )

    def cargo_publish(
        self,
        reference: str | Reference | None = None,
        *,
        options: CargoOptions | None = None,
        headers: Sequence[str] = (),
        format: PackageFormat = "ocipkg-v1",  # noqa: A002 - the word for it
        compression: Compression | None = None,
        annotations: Mapping[str, str] | None = None,
        allow_dirty: bool = False,
        on_output: OnOutput = ignore_output,
    ) -> CratePackage:
        """Build a crate with cargo, and push its package."""
        return self._bridge.call(
            self._client.cargo_publish,
            reference,
            options=options,
            headers=headers,
            format=format,
            compression=compression,
            annotations=annotations,
            allow_dirty=allow_dirty,
            on_output=on_output,
        )

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

    def resolve(
        self, target: str | Reference, *, platform: str | Platform | None = None
    ) -> Descriptor:
        """Return what a target points to: a manifest, or an index where no platform is given."""
        return self._bridge.call(self._client.resolve, target, platform=platform)

    def inspect(
        self,
        target: str | Reference,
        *,
        platform: str | Platform | None = None,
        installed: bool = False,
    ) -> Inspection:
        """Read the document a target points to."""
        return self._bridge.call(
            self._client.inspect, target, platform=platform, installed=installed
        )

    def files(
        self,
        target: str | Reference,
        *,
        platform: str | Platform | None = None,
        installed: bool = False,
    ) -> list[PackageFile]:
        """List the files of a package, image or artifact, without unpacking it."""
        return self._bridge.call(self._client.files, target, platform=platform, installed=installed)

    def referrers(
        self, target: str | Reference, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests that refer to what a target points to: signatures, SBOMs and such."""
        return self._bridge.call(self._client.referrers, target, artifact_type=artifact_type)

    def tag(self, target: str | Reference, names: Sequence[str]) -> Descriptor:
        """Give what a target points to further tags, in the same repository or layout."""
        return self._bridge.call(self._client.tag, target, names)

    def tags(self, repository: str | Reference) -> list[str]:
        """Return all tags of a repository, or names in a layout or archive, sorted."""
        return self._bridge.call(self._client.tags, repository)

    def repositories(self, registry: str) -> list[str]:
        """Return the names of all repositories on a registry that tells, sorted."""
        return self._bridge.call(self._client.repositories, registry)

    def packages(self) -> list[Package]:
        """Return all installed packages, sorted by name."""
        return self._bridge.call(self._client.packages)

    def find(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Return an installed package, without asking a registry."""
        return self._bridge.call(self._client.find, reference, platform=platform)

    def remove(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Remove an installed package, and what nothing else needs."""
        return self._bridge.call(self._client.remove, reference, platform=platform)

    def prune(
        self,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove what no installed package needs, and packages that are too old or too many."""
        return self._bridge.call(
            self._client.prune, older_than_s=older_than_s, keep=keep, dry_run=dry_run
        )

    def verify(self) -> list[Problem]:
        """Check every blob and every unpacked file of the local store again."""
        return self._bridge.call(self._client.verify)

    def login(self, registry: str, username: str, password: str) -> str:
        """Check a user name and password with a registry, and keep them."""
        return self._bridge.call(self._client.login, registry, username, password)

    def logout(self, registry: str) -> bool:
        """Forget the user name and password for a registry; return whether there were any."""
        return self._bridge.call(self._client.logout, registry)
