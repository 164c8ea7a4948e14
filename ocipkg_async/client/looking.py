"""Verbs that look at content and name it."""

from collections.abc import Sequence

from ..content import ReferrersLister, run_in_thread
from ..errors import UnsupportedError
from ..package import PackageFile, list_files, list_folder
from ..spec import Descriptor, Platform, Reference
from .inspection import Inspection, inspect
from .open_client import OpenClient, to_platform, to_reference, to_several, to_target
from .opening import name_of


class LookingVerbs(OpenClient):
    """Verbs that look at content and name it; see `ocipkg_async.Client`."""

    async def resolve(
        self, target: str | Reference, *, platform: str | Platform | None = None
    ) -> Descriptor:
        """Return what a target points to: a manifest, or an index where no platform is given.

        Raises:
            NotFoundError: there is no such thing.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        wanted = to_platform(platform)
        async with self._stores.opened(await to_target(target)) as (store, root):
            return await self._chosen(store, root, wanted)

    async def inspect(
        self,
        target: str | Reference,
        *,
        platform: str | Platform | None = None,
        installed: bool = False,
    ) -> Inspection:
        """Read the document a target points to.

        Args:
            target: what to look at.
            platform: the manifest for this platform; None is the index, where it is one.
            installed: `target` is the reference of an installed package; no registry is asked.

        Raises:
            NotFoundError: there is no such thing, or it is not installed.
            IntegrityError, InvalidDocumentError: the document is broken.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        wanted = to_platform(platform)
        max_bytes = self.options.max_manifest_bytes
        if installed:
            local = await self.local_store()
            async with local.reading():
                package = await local.find(to_reference(target), wanted)
                return await inspect(
                    local.layout, package.descriptor, target=str(target), max_bytes=max_bytes
                )
        async with self._stores.opened(await to_target(target)) as (store, root):
            chosen = await self._chosen(store, root, wanted)
            return await inspect(
                store, chosen, target=str(target), max_bytes=max_bytes, name=name_of(root)
            )

    async def files(
        self,
        target: str | Reference,
        *,
        platform: str | Platform | None = None,
        installed: bool = False,
    ) -> list[PackageFile]:
        """List the files of a package, image or artifact, without unpacking it.

        The archives themselves are read, layer by layer, not what the package says of them; nothing
        is told of a layer that was not verified. Of an installed package its folder is listed.

        Args:
            target: what to look at.
            platform: which manifest of an index; None is the host's.
            installed: `target` is the reference of an installed package; no registry is asked.

        Raises:
            NotFoundError: there is no such thing, or it is not installed.
            IntegrityError, InvalidDocumentError: the content is broken.
            InvalidPackageError: a layer is no valid archive, or holds more than the limits allow.
            UnsupportedError: a layer of a kind that is not supported.
            RegistryError, TransportError, StorageError: the registry or the disk refused.
        """
        wanted = to_platform(platform)
        if installed:
            local = await self.local_store()
            async with local.reading():
                package = await local.find(to_reference(target), wanted)
                return await run_in_thread(list_folder, package.path)
        async with self._stores.opened(await to_target(target)) as (store, root):
            return await list_files(
                store,
                await self._select(store, root, wanted),
                limits=self.options.limits,
                on_event=self._on_event,
            )

    async def referrers(
        self, target: str | Reference, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests that refer to what a target points to: signatures, SBOMs and such.

        Raises:
            UnsupportedError: this kind of target does not know.
            NotFoundError, RegistryError, TransportError: as `resolve`.
        """
        async with self._stores.opened(await to_target(target)) as (store, root):
            if not isinstance(store, ReferrersLister):
                raise UnsupportedError(f"{target} does not know what refers to its content")
            return await store.referrers(root.digest, artifact_type=artifact_type)

    async def tag(self, target: str | Reference, names: Sequence[str]) -> Descriptor:
        """Give what a target points to further tags, in the same repository or layout.

        Raises:
            InvalidReferenceError: a name is not a tag; nothing was tagged.
            InvalidArgumentError: one text was given for a list; nothing was tagged.
            NotFoundError: there is no such thing.
            UnsupportedError: an archive, which cannot be changed in place.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        names = to_several(names, "names")
        parsed = await to_target(target)
        if parsed.kind == "archive":
            raise UnsupportedError(
                "names in an archive cannot be changed in place", hint="copy it to a layout first"
            )
        if parsed.reference is not None:
            for name in names:
                parsed.reference.with_tag(name)  # before the first is given
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
        target = await to_target(repository)
        if target.reference is not None:
            return await self.repository(target.reference).tags()
        async with self._stores.local(target) as store:
            return await store.tags()

    async def repositories(self, registry: str) -> list[str]:
        """Return the names of all repositories on a registry that tells, sorted.

        Raises:
            RegistryError, TransportError: the registry refused (many do), or could not be reached.
        """
        from ..registry import catalog  # noqa: PLC0415 - the rest looks at what is local, too

        return await catalog(self._stores.network.transport, registry)
