"""Verbs that join packages of several platforms, and make images that run."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from ..content import ReadStore
from ..package import Compression, RunConfig, push_runnable
from ..package.index_builder import push_index, read_part
from ..package.index_entries import IndexPart, arrange
from ..spec import Descriptor, Platform, Reference
from .open_client import OpenClient, to_platform, to_target
from .opening import output_names


class ComposingVerbs(OpenClient):
    """Verbs for several platforms and for images that run; see `ocipkg_async.Client`."""

    async def index(
        self,
        sources: Sequence[tuple[str | Reference, str | Platform | None]],
        output: str,
        *,
        name: str | None = None,
        annotations: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> Descriptor:
        """Make one index of several packages or images, one for each platform.

        Everything is copied to the output first. The entries stand in the order of the sources, and
        the same sources give the same digest. An index as source gives all its entries, and its
        annotations; a later source that is one package takes the place of the entry for its
        platform, so a package is added to a tag, or renewed there, by giving the tag itself first.
        Registries cannot do this in one step: of two such calls at the same time one is lost.

        Args:
            sources: any targets, each with its platform. None is the platform that the content
                says, or, of an index, all of its platforms.
            output: ``FILE.tar`` for an oci-archive, ``oci:DIR`` for a layout, or a reference.
            name: the reference it is named in an archive or layout.
            annotations: of the index.
            overwrite: replace an archive that exists.

        Returns:
            the descriptor of the index.

        Raises:
            InvalidArgumentError: the platform of a source is not known, two are for one platform,
                or there are none; nothing was copied.
            NotFoundError: a source, or its manifest for the platform, is not there.
            IntegrityError, InvalidDocumentError: a source is broken.
            AlreadyExistsError: the archive exists.
            InvalidReferenceError, InvalidPlatformError: a text is none.
            StorageError, RegistryError, TransportError: a source or the output failed.
        """
        target = await to_target(output, output=True)
        names = output_names(target, name)
        wanted = [(await to_target(one), one, to_platform(platform)) for one, platform in sources]
        async with AsyncExitStack() as stack:
            stores: list[ReadStore] = []
            parts: list[IndexPart] = []
            notes: dict[str, str] = {}
            for origin, label, platform in wanted:
                store, root = await stack.enter_async_context(self._stores.opened(origin))
                part, noted = await read_part(
                    store,
                    root,
                    label=str(label),
                    platform=platform,
                    max_bytes=self.options.max_manifest_bytes,
                    on_event=self._on_event,
                )
                stores.append(store)
                parts.append(part)
                notes.update(noted)
            entries = arrange(parts)
            out = await stack.enter_async_context(
                self._stores.writable(target, overwrite=overwrite)
            )
            for entry in entries:
                store = next(s for s, p in zip(stores, parts, strict=True) if entry in p.entries)
                await self._copy(store, out, entry.plain(), ())
            index = await push_index(
                out,
                entries,
                name=names[0] if names else None,
                annotations={**notes, **(annotations or {})},
            )
        return index.descriptor

    async def pack_runnable(
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
        """Make an image that runs a static program; of programs for several platforms, an index.

        The image holds the program alone, at its root. The same input gives the same digest.

        Args:
            executables: programs for Linux, one for each platform. They have the name of the first.
            output: ``FILE.tar`` for an oci-archive, ``oci:DIR`` for a layout, or a reference.
            name: the reference it is named in an archive or layout.
            name_as: the name of the program in the image, instead of that of the first.
            config: environment, arguments, user, working directory and labels.
            compression: of the layers; gzip by default.
            annotations: of the manifests and the index.
            overwrite: replace an archive that exists.

        Returns:
            the descriptor of the manifest or index.

        Raises:
            InvalidPackageError: a file is no program for Linux, or not linked statically.
            InvalidArgumentError: no program, two for one platform, or a name that cannot be.
            NotFoundError: a program is not there.
            AlreadyExistsError: the archive exists.
            InvalidReferenceError: `output` or `name` is none.
            StorageError, RegistryError, TransportError: the output could not be written.
        """
        target = await to_target(output, output=True)
        names = output_names(target, name)
        async with self._stores.writable(target, overwrite=overwrite) as store:
            return await push_runnable(
                store,
                executables,
                name=names[0] if names else None,
                name_as=name_as,
                config=config,
                compression=compression or Compression(),
                annotations=dict(annotations or {}),
                label=output,
                on_event=self._on_event,
            )
