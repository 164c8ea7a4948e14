"""Blocking verbs that make packages, images and artifacts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..client import CratePackage
from ..native import LinkMetadata
from ..package import (
    ArtifactFile,
    Compression,
    PackageFormat,
    RunConfig,
)
from ..package.cargo import CargoOptions, OnOutput, ignore_output
from ..spec import Descriptor, Platform, Reference
from .open_client import OpenClient


class MakingVerbs(OpenClient):
    """Blocking verbs that make packages, images and artifacts; see `ocipkg_async.sync.Client`."""

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
