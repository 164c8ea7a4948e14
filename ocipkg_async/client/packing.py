"""Verbs that make packages and artifacts of files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..package import ArtifactFile, Compression, pack, push_artifact
from ..spec import Descriptor, Reference
from .open_client import OpenClient, to_destination
from .opening import output_names, pushed_tags
from .target import Target


class PackingVerbs(OpenClient):
    """Verbs that make packages and artifacts of files; see `ocipkg_async.Client`."""

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
