"""Verbs that make packages and artifacts of files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..native import LinkMetadata
from ..package import ArtifactFile, Compression, PackageFormat, pack, push_artifact
from ..spec import Descriptor, Platform, Reference
from .open_client import OpenClient, to_destination, to_platform
from .opening import output_names, pushed_tags
from .target import Target


class PackingVerbs(OpenClient):
    """Verbs that make packages and artifacts of files; see `ocipkg_async.Client`."""

    async def pack(
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
        """Make a package of files and directories; the same input gives the same digest.

        Args:
            paths: one directory, whose contents are packed, or files and directories, each under
                its base name.
            output: ``FILE.tar`` for an oci-archive, ``oci:DIR`` for a layout, or a reference.
            named: further files and directories, by the slash-separated names they get in the
                package, such as ``lib/libfoo.a``; there need be no `paths` then.
            format: ``ocipkg-v1``; or ``ocipkg-v0``, an ordinary image, for readers older
                than ocipkg 0.3.
            platform: what the package is for, as its config says.
            link: how the package wants to be linked; ``ocipkg-v1`` alone can say it.
            name: the reference it is named in an archive or layout.
            compression: of the layer; gzip by default.
            annotations: of the package.
            follow_symlinks: pack what links point to instead of the links.
            overwrite: replace an archive that exists.

        Returns:
            the descriptor of the manifest.

        Raises:
            InvalidArgumentError: something in `named` is no name, or the format has no place for
                an option.
            InvalidPackageError: there is nothing to pack, something that cannot be packed, or
                two things have one name.
            InvalidPlatformError: `platform` is none.
            NotFoundError: a path is not there.
            UnsupportedError: the format does not know the compression.
            AlreadyExistsError: the archive exists.
            InvalidReferenceError: `output` or `name` is none.
            StorageError, RegistryError, TransportError: the output could not be written.
        """
        wanted = to_platform(platform)
        target = await Target.parse(output, output=True)
        names = output_names(target, name)
        async with self._stores.writable(target, overwrite=overwrite) as store:
            return await pack(
                store,
                paths,
                named=named,
                format=format,
                platform=wanted,
                link=link,
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
            InvalidPackageError: a file cannot be packed, or changed meanwhile.
            InvalidReferenceError: the reference does not name its registry.
            InvalidArgumentError: the reference has a digest, which only follows from the files; two
                files have one title; `artifact_type` is no media type.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        parsed = to_destination(reference)
        (tag,) = pushed_tags(parsed)
        return await push_artifact(
            self.repository(parsed),
            files,
            name=tag,
            artifact_type=artifact_type,
            annotations=dict(annotations or {}),
            on_event=self._on_event,
        )
