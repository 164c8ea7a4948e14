"""Verbs that move content."""

from dataclasses import replace
from pathlib import Path

from ..content import Fetcher, ReadStore
from ..copy import CopyReport
from ..errors import NotFoundError, RegistryError, TransportError
from ..package import (
    Unpack,
    UnpackReport,
    unpack,
)
from ..spec import Descriptor, Platform, Reference
from ..store import LockFile, Package
from .layer_source import LayerSource
from .locked import add_offline_hint, has_no_answer, installed_as, locked_root, not_installed
from .locking import read_lock_file
from .open_client import OpenClient, to_destination, to_platform, to_reference, to_target
from .opening import check_digest, entries, name_of, output_names, pushed_tags, reference_of
from .target import Target


class MovingVerbs(OpenClient):
    """Verbs that move content; see `ocipkg_async.Client`."""

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
            InvalidReferenceError: `to` does not name its registry.
            InvalidLayoutError, IntegrityError: the archive or layout is broken.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        target = await Target.parse(source)
        pushed: list[tuple[Reference, Descriptor]] = []
        async with self._stores.local(target) as store:
            for entry in await entries(store, target, single=to is not None):
                reference = reference_of(entry, target) if to is None else to_destination(to)
                names = pushed_tags(reference, entry)
                repository = self.repository(reference)
                await self._copy(store, repository, entry.plain(), names, action="upload")
                pushed.append((reference.with_default_tag(), entry.plain()))
        return pushed

    async def get(
        self,
        reference: str | Reference,
        *,
        platform: str | Platform | None = None,
        lock: Path | LockFile | None = None,
        offline: bool = False,
    ) -> Package:
        """Install a package from a registry into the local store.

        No request is made where the digest is known, from the lock file or the reference, and
        installed already. What is there under another name only is installed under this one with
        its digest, so that nobody else gets for a tag what a lock file says of it.

        Args:
            reference: its name.
            platform: which manifest of an index; None is the host's.
            lock: a lock file; what it says is installed, and nothing else.
            offline: make no request, but return what is installed.

        Raises:
            NotFoundError: the registry does not have it, or not for this platform; or it is not in
                the lock file; or `offline`, and it is not installed.
            TagMovedError: the tag points to something else than when it was locked.
            IntegrityError: the registry sent wrong bytes; nothing was installed.
            InvalidDocumentError: the lock file is broken.
            InvalidPackageError: it cannot be unpacked safely.
            RegistryError, TransportError, StorageError: the registry or the disk refused.
        """
        parsed, wanted = to_reference(reference).with_default_tag(), to_platform(platform)
        if isinstance(lock, Path):
            lock = await read_lock_file(lock)
        locked = lock.find(parsed) if lock is not None else None
        digest = locked.manifest(wanted) if locked is not None else parsed.digest
        store = await self.local_store()
        named = await installed_as(store, parsed, wanted)
        # Behind a digest in the name is always the same, also where that is the digest of an index.
        if named is not None and (
            named.descriptor.digest == digest if locked else offline or digest is not None
        ):
            return named
        if digest is not None:
            # What a lock file claims counts for those who obey it. Under its plain name others,
            # who do not, would get what no registry ever gave under that name.
            name = parsed if locked is None else replace(parsed, digest=digest)
            found = await store.adopt(digest, name, wanted)
            if found is not None:
                return found
        if offline:
            raise not_installed(parsed, wanted, locked)
        repository = self.repository(parsed)
        try:
            if locked is not None and digest is not None:
                root = await locked_root(repository, locked, digest, self._on_event)
            else:
                root = await repository.resolve(parsed.selector)
            return await self._install(repository, root, parsed, wanted)
        except (TransportError, RegistryError) as error:
            if named is not None and locked is None and has_no_answer(error):
                add_offline_hint(error, parsed)
            raise

    async def load(self, source: str, *, name: str | Reference | None = None) -> list[Package]:
        """Install what an archive or layout holds into the local store, under the names it holds.

        Args:
            source: an archive or layout.
            name: the reference to install it under, for one package.

        Raises:
            InvalidArgumentError: a package has no name, or one with a digest that is not its own;
                or there are several and one `name`.
            InvalidLayoutError, IntegrityError: the archive or layout is broken.
            InvalidPackageError, StorageError: as `get`.
        """
        target = await Target.parse(source)
        installed: list[Package] = []
        async with self._stores.local(target) as store:
            for entry in await entries(store, target, single=name is not None):
                reference = reference_of(entry, target) if name is None else to_reference(name)
                check_digest(reference, entry)
                installed.append(await self._install(store, entry.plain(), reference, None))
        return installed

    async def save(
        self, reference: str | Reference, output: str, *, overwrite: bool = False
    ) -> Descriptor:
        """Write a package from the local store, or else from its registry, to an archive or layout.

        Layers that the store does not keep come from the registry, by digest.

        Raises:
            NotFoundError: neither has it, or the registry has not the layers.
            AlreadyExistsError: the archive exists.
            RegistryError, TransportError, StorageError: the registry or the disk refused.
        """
        parsed = to_reference(reference).with_default_tag()
        target = await Target.parse(output, output=True)
        local, repository = await self.local_store(), self.repository(parsed)
        async with local.reading():
            try:
                root = (await local.find(parsed)).descriptor
            except NotFoundError:
                pass
            else:
                near = local.with_source(LayerSource(repository, parsed))
                return await self._save(near, root, parsed, target, overwrite=overwrite)
        root = await repository.resolve(parsed.selector)
        return await self._save(repository, root, parsed, target, overwrite=overwrite)

    async def _save(
        self,
        source: Fetcher,
        root: Descriptor,
        reference: Reference,
        target: Target,
        *,
        overwrite: bool,
    ) -> Descriptor:
        names = output_names(target, None, root)
        if target.reference is None and not names:
            # Of an index one manifest was installed, and that has a digest of its own.
            digest = reference.digest and root.digest
            names = [str(replace(reference, digest=digest))]
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
        wanted = to_platform(platform)
        async with self._stores.opened(await to_target(source)) as (store, root):
            manifest = await self._select(store, root, wanted)
            return await unpack(
                store,
                manifest,
                destination,
                limits=self.options.limits,
                overwrite=overwrite,
                unpack=unpack_directories,
                partial=self.options.transfer.partial,
                resume=self.options.transfer.resume,
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
        wanted = to_platform(platform)
        origin, target = await to_target(source), await to_target(destination, output=True)
        async with self._stores.opened(origin) as (store, root):
            chosen = await self._chosen(store, root, wanted)
            names = output_names(target, None, chosen)
            if target.reference is None and not names:
                names = origin.names or [name for name in [name_of(root)] if name]
            async with self._stores.writable(target, overwrite=overwrite) as out:
                return await self._copy(store, out, chosen, names, deep=deep)

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
            keep_layers=self.options.keep_layers,
            resume=self.options.transfer.resume,
            on_event=self._on_event,
        )
