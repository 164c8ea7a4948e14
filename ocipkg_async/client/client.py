"""The client: one entry point for everything a user does.

Example:
    ::

        async with Client() as client:
            package = await client.get("ghcr.io/org/pkg:v1")
            print(package.path)
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..content import ReadStore, ReferrersLister, Store, select_manifest
from ..copy import CopyReport, copy_graph
from ..errors import (
    ClosedError,
    InvalidArgumentError,
    InvalidPlatformError,
    NotFoundError,
    UnsupportedError,
)
from ..events import Action, OnEvent, ignore
from ..layout import ArchiveWriter
from ..package import (
    ArtifactFile,
    Compression,
    Unpack,
    UnpackReport,
    pack,
    push_artifact,
    unpack,
)
from ..registry import Repository, catalog, ping
from ..spec import Descriptor, Manifest, Platform, Reference
from ..store import LocalStore, Package, Problem, Pruned
from ..transport import Credential, CredentialFiles, CredentialProvider, FixedCredential, Transport
from .inspection import Inspection, inspect
from .opening import Stores, entries, name_of, output_names, pushed_tags, reference_of
from .options import ClientOptions
from .target import Target


class Client:
    """Packages, registries, layouts, archives and the local store, behind one set of verbs.

    Use it as an async context manager; it owns the connections. One client serves any number of
    concurrent calls, in one event loop. A target is a reference, ``oci:DIR[:name]``,
    ``oci-archive:FILE[:name]``, or the path of a layout or archive. A platform is written
    ``linux/arm64``, or as a target triple such as ``aarch64-unknown-linux-gnu``.

    Args:
        options: how it works; `ClientOptions` has the defaults.
        credentials: where user names and passwords come from; None reads the credential files and
            helpers of Docker and podman.
        on_event: called with what happens; see `ocipkg_async.events`.
    """

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        credentials: CredentialProvider | None = None,
        on_event: OnEvent = ignore,
    ) -> None:
        self.options = options or ClientOptions()
        self._files = CredentialFiles(authfile=self.options.authfile)
        self._credentials = credentials or self._files
        self._on_event = on_event
        self._opened: Stores | None = None
        self._local: LocalStore | None = None

    async def __aenter__(self) -> Self:
        """Open the client.

        Raises:
            InvalidArgumentError: it is open already.
        """
        if self._opened is not None:
            raise InvalidArgumentError(
                "the client is open already", hint="one `async with` serves all concurrent calls"
            )
        transport = Transport(
            self.options.transport, credentials=self._credentials, on_event=self._on_event
        )
        self._opened = Stores(await transport.__aenter__(), self.options)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.transport.__aexit__(kind, error, trace)

    # Making packages

    async def pack(
        self,
        paths: Sequence[Path],
        output: str,
        *,
        name: str | None = None,
        compression: Compression | None = None,
        annotations: Mapping[str, str] | None = None,
        follow_symlinks: bool = False,
        overwrite: bool = False,
    ) -> Descriptor:
        """Make a package of files and directories; the same input gives the same digest.

        Args:
            paths: one directory, whose contents are packed, or files and directories, each under
                its base name.
            output: ``FILE.tar`` for an oci-archive, ``oci:DIR`` for a layout, or a reference.
            name: the reference it is named in an archive or layout.
            compression: of the layer; gzip by default.
            annotations: of the manifest.
            follow_symlinks: pack what links point to instead of the links.
            overwrite: replace an archive that exists.

        Returns:
            the descriptor of the manifest.

        Raises:
            InvalidPackageError: there is nothing to pack, or something that cannot be packed.
            AlreadyExistsError: the archive exists.
            InvalidReferenceError: `output` or `name` is none.
            StorageError, RegistryError, TransportError: the output could not be written.
        """
        target = await Target.parse(output, output=True)
        names = output_names(target, name)
        async with self._stores.writable(target, overwrite=overwrite) as store:
            return await pack(
                store,
                paths,
                name=names[0] if names else None,
                compression=compression or Compression(),
                annotations=dict(annotations or {}),
                follow_symlinks=follow_symlinks,
                label=output,
                on_event=self._on_event,
            )

    async def push_files(
        self,
        reference: str | Reference,
        files: Sequence[ArtifactFile],
        *,
        artifact_type: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """Push files and directories as an artifact, one layer each, as ORAS does.

        Args:
            reference: where to.
            files: what, each with its title and media type.
            artifact_type: media type of the artifact.
            annotations: of the manifest.

        Returns:
            the descriptor of the manifest.

        Raises:
            InvalidPackageError: a file cannot be read, or two have one title.
            InvalidArgumentError: the reference has a digest, which only follows from the files.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        parsed = _reference(reference)
        (tag,) = pushed_tags(parsed)
        return await push_artifact(
            self.repository(parsed),
            files,
            name=tag,
            artifact_type=artifact_type,
            annotations=dict(annotations or {}),
            on_event=self._on_event,
        )

    # Moving packages

    async def push(
        self, source: str, to: str | Reference | None = None
    ) -> list[tuple[Reference, Descriptor]]:
        """Push what an archive or layout holds, to the names it holds or to `to`.

        Args:
            source: an archive or layout.
            to: where to, for one package; None is the name it was packed with.

        Returns:
            where each package went, and what it is.

        Raises:
            InvalidArgumentError: there are several packages and one `to`, or one without a name.
            InvalidLayoutError, IntegrityError: the archive or layout is broken.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        target = await Target.parse(source)
        pushed: list[tuple[Reference, Descriptor]] = []
        async with self._stores.local(target) as store:
            for entry in await entries(store, target, single=to is not None):
                reference = reference_of(entry, target) if to is None else _reference(to)
                names = pushed_tags(reference, entry)
                repository = self.repository(reference)
                await self._copy(store, repository, entry.plain(), names, action="upload")
                pushed.append((reference.with_default_tag(), entry.plain()))
        return pushed

    async def get(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Install a package from a registry into the local store.

        Raises:
            NotFoundError: the registry does not have it, or not for this platform.
            IntegrityError: the registry sent wrong bytes; nothing was installed.
            InvalidPackageError: it cannot be unpacked safely.
            RegistryError, TransportError, StorageError: the registry or the disk refused.
        """
        parsed, wanted = _reference(reference).with_default_tag(), _platform(platform)
        repository = self.repository(parsed)
        root = await repository.resolve(parsed.selector)
        return await self._install(repository, root, parsed, wanted)

    async def load(self, source: str, *, name: str | Reference | None = None) -> list[Package]:
        """Install what an archive or layout holds into the local store, under the names it holds.

        Args:
            source: an archive or layout.
            name: the reference to install it under, for one package.

        Raises:
            InvalidArgumentError: a package has no name, or there are several and one `name`.
            InvalidLayoutError, IntegrityError: the archive or layout is broken.
            InvalidPackageError, StorageError: as `get`.
        """
        target = await Target.parse(source)
        installed: list[Package] = []
        async with self._stores.local(target) as store:
            for entry in await entries(store, target, single=name is not None):
                reference = reference_of(entry, target) if name is None else _reference(name)
                installed.append(await self._install(store, entry.plain(), reference, None))
        return installed

    async def save(
        self, reference: str | Reference, output: str, *, overwrite: bool = False
    ) -> Descriptor:
        """Write a package from the local store, or else from its registry, to an archive or layout.

        Raises:
            NotFoundError: neither has it.
            AlreadyExistsError: the archive exists.
            RegistryError, TransportError, StorageError: the registry or the disk refused.
        """
        parsed = _reference(reference).with_default_tag()
        target = await Target.parse(output, output=True)
        local = await self.local_store()
        async with local.reading():
            try:
                root = (await local.find(parsed)).descriptor
            except NotFoundError:
                pass
            else:
                return await self._save(local.layout, root, parsed, target, overwrite=overwrite)
        repository = self.repository(parsed)
        root = await repository.resolve(parsed.selector)
        return await self._save(repository, root, parsed, target, overwrite=overwrite)

    async def _save(
        self,
        source: ReadStore,
        root: Descriptor,
        reference: Reference,
        target: Target,
        *,
        overwrite: bool,
    ) -> Descriptor:
        names = output_names(target, None, root)
        if target.reference is None and not names:
            names = [str(reference)]
        async with self._stores.writable(target, overwrite=overwrite) as store:
            await self._copy(source, store, root, names)
        return root

    async def pull(
        self,
        source: str | Reference,
        destination: Path,
        *,
        platform: str | Platform | None = None,
        overwrite: bool = False,
        unpack_directories: Unpack = "auto",
    ) -> UnpackReport:
        """Write the files of a package, image or artifact into a folder.

        Args:
            source: any target.
            destination: the folder; it may exist.
            platform: which manifest of an index; None is the host's.
            overwrite: replace files that exist there.
            unpack_directories: whether layers that hold a directory are unpacked; ``auto`` obeys
                their annotations.

        Raises:
            AlreadyExistsError: a file is in the way; nothing was written.
            NotFoundError, IntegrityError, InvalidPackageError: as `get`; nothing was written.
            RegistryError, TransportError, StorageError: the registry or the disk refused.
        """
        wanted = _platform(platform)
        async with self._stores.opened(await _target(source)) as (store, root):
            manifest = await self._select(store, root, wanted)
            return await unpack(
                store,
                manifest,
                destination,
                limits=self.options.limits,
                overwrite=overwrite,
                unpack=unpack_directories,
                on_event=self._on_event,
            )

    async def copy(
        self,
        source: str | Reference,
        destination: str | Reference,
        *,
        platform: str | Platform | None = None,
        deep: bool = False,
        overwrite: bool = False,
    ) -> CopyReport:
        """Copy a package, image or index with everything below it from any target to any target.

        Args:
            source: where it is.
            destination: where it goes.
            platform: copy the manifest for this platform alone; None copies all.
            deep: check below what the destination has, to repair a partial copy.
            overwrite: replace an archive that exists.

        Raises:
            NotFoundError, IntegrityError: the source lacks something, or gave wrong bytes.
            AlreadyExistsError: the destination archive exists.
            OCIError: either side failed; a note says which.
        """
        wanted = _platform(platform)
        origin, target = await _target(source), await _target(destination, output=True)
        async with self._stores.opened(origin) as (store, root):
            chosen = await self._chosen(store, root, wanted)
            names = output_names(target, None, chosen)
            if target.reference is None and not names:
                names = origin.names or [name for name in [name_of(root)] if name]
            async with self._stores.writable(target, overwrite=overwrite) as out:
                return await self._copy(store, out, chosen, names, deep=deep)

    # Looking and naming

    async def resolve(
        self, target: str | Reference, *, platform: str | Platform | None = None
    ) -> Descriptor:
        """Return what a target points to: a manifest, or an index where no platform is given.

        Raises:
            NotFoundError: there is no such thing.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        wanted = _platform(platform)
        async with self._stores.opened(await _target(target)) as (store, root):
            return await self._chosen(store, root, wanted)

    async def inspect(
        self, target: str | Reference, *, platform: str | Platform | None = None
    ) -> Inspection:
        """Read the document a target points to.

        Raises:
            NotFoundError: there is no such thing.
            IntegrityError, InvalidDocumentError: the document is broken.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        wanted = _platform(platform)
        async with self._stores.opened(await _target(target)) as (store, root):
            chosen = await self._chosen(store, root, wanted)
            return await inspect(
                store, chosen, target=str(target), max_bytes=self.options.max_manifest_bytes
            )

    async def referrers(
        self, target: str | Reference, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests that refer to what a target points to: signatures, SBOMs and such.

        Raises:
            UnsupportedError: this kind of target does not know.
            NotFoundError, RegistryError, TransportError: as `resolve`.
        """
        async with self._stores.opened(await _target(target)) as (store, root):
            if not isinstance(store, ReferrersLister):
                raise UnsupportedError(f"{target} does not know what refers to its content")
            return await store.referrers(root.digest, artifact_type=artifact_type)

    async def tag(self, target: str | Reference, names: Sequence[str]) -> Descriptor:
        """Give what a target points to further tags, in the same repository or layout.

        Raises:
            NotFoundError: there is no such thing.
            UnsupportedError: an archive, which cannot be changed in place.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        parsed = await _target(target)
        if parsed.kind == "archive":
            raise UnsupportedError(
                "names in an archive cannot be changed in place", hint="copy it to a layout first"
            )
        async with self._stores.opened(parsed) as (_, found):
            root = found.plain()
            async with self._stores.writable(parsed) as store:
                for name in names:
                    await store.tag(root, name)
            return root

    async def tags(self, repository: str | Reference) -> list[str]:
        """Return all tags of a repository, or names in a layout or archive, sorted.

        Raises:
            NotFoundError: there is no such repository.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        target = await _target(repository)
        if target.reference is not None:
            return await self.repository(target.reference).tags()
        async with self._stores.local(target) as store:
            return await store.tags()

    async def repositories(self, registry: str) -> list[str]:
        """Return the names of all repositories on a registry that tells, sorted.

        Raises:
            RegistryError, TransportError: the registry refused (many do), or could not be reached.
        """
        return await catalog(self._stores.transport, registry)

    def repository(self, reference: str | Reference) -> Repository:
        """Return a remote repository as a store, for everything the verbs here do not do."""
        return self._stores.repository(_reference(reference))

    # The local store

    async def local_store(self) -> LocalStore:
        """Return the local package store, creating it where it is missing.

        Raises:
            StorageError: it cannot be made.
        """
        _ = self._stores  # an open client, as for everything else
        if self._local is None:
            self._local = await LocalStore.open(self.options.store)
        return self._local

    async def packages(self) -> list[Package]:
        """Return all installed packages, sorted by name."""
        return await (await self.local_store()).packages()

    async def find(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Return an installed package, without asking a registry.

        Raises:
            NotFoundError: it is not installed.
        """
        store = await self.local_store()
        return await store.find(_reference(reference), _platform(platform))

    async def remove(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Remove an installed package, and what nothing else needs.

        Raises:
            NotFoundError: it is not installed.
            StorageError: the disk refused.
        """
        store = await self.local_store()
        return await store.remove(_reference(reference), _platform(platform))

    async def prune(self) -> Pruned:
        """Remove what no installed package needs: left-overs of killed or failed runs.

        Raises:
            StorageError: the disk refused.
        """
        return await (await self.local_store()).prune()

    async def verify(self) -> list[Problem]:
        """Check every blob and every unpacked file of the local store again.

        Returns:
            what is wrong; empty when nothing is.

        Raises:
            StorageError: a file cannot be read, or there is no space to unpack.
        """
        return await (await self.local_store()).verify(limits=self.options.limits)

    # Accounts

    async def login(self, registry: str, username: str, password: str) -> str:
        """Check a user name and password with a registry, and keep them.

        Returns:
            where they were kept.

        Raises:
            UnauthorizedError: the registry refuses them; nothing was kept.
            CredentialError: they cannot be kept.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        _ = self._stores
        host = Reference.parse(f"{registry}/x", strict=True)
        credential = Credential(username=username, password=password)
        async with Transport(
            self.options.transport,
            credentials=FixedCredential(credential),
            on_event=self._on_event,
        ) as transport:
            await ping(transport, host.host)
        return await self._files.put(host.registry, credential)

    async def logout(self, registry: str) -> bool:
        """Forget the user name and password for a registry; return whether there were any.

        Raises:
            CredentialError: the file or helper cannot be used.
        """
        _ = self._stores
        return await self._files.erase(Reference.parse(f"{registry}/x", strict=True).registry)

    # Inside

    @property
    def _stores(self) -> Stores:
        if self._opened is None:
            raise ClosedError(
                "the client is not open", hint="use it inside: async with Client() as client"
            )
        return self._opened

    async def _select(
        self, store: ReadStore, root: Descriptor, platform: Platform | None
    ) -> Manifest:
        return await select_manifest(
            store, root, platform, max_bytes=self.options.max_manifest_bytes
        )

    async def _chosen(
        self, store: ReadStore, root: Descriptor, platform: Platform | None
    ) -> Descriptor:
        """The manifest for a platform where one was asked for, else everything."""
        if platform is None:
            return root.plain()
        return (await self._select(store, root, platform)).descriptor

    async def _copy(
        self,
        source: ReadStore,
        destination: Store,
        root: Descriptor,
        names: Sequence[str],
        *,
        deep: bool = False,
        action: Action = "copy",
    ) -> CopyReport:
        return await copy_graph(
            source,
            destination,
            root,
            names=names,
            deep=deep,
            # An archive is written in the order of its pushes; one at a time gives the same bytes.
            concurrency=1 if isinstance(destination, ArchiveWriter) else self.options.concurrency,
            max_document_bytes=self.options.max_manifest_bytes,
            action=action,
            on_event=self._on_event,
        )

    async def _install(
        self, source: ReadStore, root: Descriptor, reference: Reference, platform: Platform | None
    ) -> Package:
        store = await self.local_store()
        return await store.install(
            source,
            root,
            reference,
            platform=platform,
            limits=self.options.limits,
            concurrency=self.options.concurrency,
            on_event=self._on_event,
        )


def _reference(value: str | Reference) -> Reference:
    return value if isinstance(value, Reference) else Reference.parse(value)


def _platform(value: str | Platform | None) -> Platform | None:
    if not isinstance(value, str):
        return value
    if "-" in value and "/" not in value:
        with contextlib.suppress(InvalidPlatformError):
            return Platform.from_target_triple(value)
    return Platform.parse(value)


async def _target(value: str | Reference, *, output: bool = False) -> Target:
    if isinstance(value, Reference):
        return Target(kind="registry", reference=value)
    return await Target.parse(value, output=output)
