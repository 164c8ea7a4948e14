"""Verbs that build a crate and make its package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..content import run_in_thread
from ..errors import storage_errors
from ..events import Warned
from ..layout.staging import exists_error
from ..package import Compression, PackageFormat, pack
from ..package.builder import PackStore
from ..package.cargo import (
    BuiltCrate,
    Cargo,
    CargoOptions,
    Crate,
    CrateSettings,
    OnOutput,
    Revision,
    Workspace,
    build_crate,
    check_clean,
    crate_annotations,
    find_crate,
    ignore_output,
    package_reference,
    read_revision,
)
from ..package.index_builder import push_index
from ..package.index_entries import index_entry
from ..spec import Descriptor, Platform, Reference, media_types
from .open_client import OpenClient, to_destination
from .opening import output_names, pushed_tags
from .target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class CratePackage:
    """The package that was made of a crate.

    Attributes:
        crate: name of the crate.
        version: of the crate.
        target: where the package is.
        name: what it is called there: a reference.
        platforms: what it is for.
        descriptor: its manifest, or the index of several.
    """

    crate: str
    version: str
    target: str
    name: str
    platforms: tuple[Platform, ...]
    descriptor: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A crate that can be built, and what is known of it before."""

    cargo: Cargo
    options: CargoOptions
    workspace: Workspace
    crate: Crate
    settings: CrateSettings
    revision: Revision | None

    @property
    def default_output(self) -> Path:
        """The archive for the crate, in the folder that cargo builds in."""
        parts = [self.crate.name, self.crate.version]
        if len(self.options.targets) == 1:
            parts += self.options.targets
        return Path(self.workspace.target_directory, "ocipkg", f"{'-'.join(parts)}.tar")

    async def build(self, headers: Sequence[str]) -> list[BuiltCrate]:
        return [
            await build_crate(
                self.cargo,
                self.workspace,
                self.crate,
                self.settings,
                self.options,
                triple=triple,
                headers=headers,
            )
            for triple in self.options.targets or (None,)
        ]


class CrateVerbs(OpenClient):
    """Verbs that build a crate and make its package; see `ocipkg_async.Client`."""

    async def cargo_build(
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
        """Build a crate with cargo, and make a package of its libraries and programs.

        Libraries lie at the root of the package, programs in ``bin/`` and headers in ``include/``.
        Name, annotations and how to link it come from Cargo.toml and its table
        ``[package.metadata.ocipkg]``, from git and from the compiler. Several targets make one
        index. Nothing is written when cargo fails.

        Args:
            output: ``FILE.tar`` for an oci-archive, ``oci:DIR`` for a layout, or a reference; None
                is an archive ``ocipkg/NAME-VERSION.tar`` in cargo's target directory, which is
                replaced where it exists. For one target its triple comes behind the version.
            options: what cargo builds, and how.
            name: the reference it is named; None is what Cargo.toml says.
            headers: further globs of headers, relative to the crate.
            format: ``ocipkg-v1``; or ``ocipkg-v0``, for readers older than ocipkg 0.3, which cannot
                say how the package is linked.
            compression: of the layer; gzip by default.
            annotations: further ones; they win.
            allow_dirty: build from sources that are not committed, and mark the package.
            overwrite: replace an archive that exists.
            on_output: called with what cargo and the compiler say to people.

        Returns:
            what was made.

        Raises:
            BuildError: cargo failed; it carries cargo's status and the end of its output.
            InvalidArgumentError: there is no such crate, no name for the package, a setting in
                Cargo.toml or a glob is wrong, or sources are not committed.
            InvalidPackageError: the crate has nothing to pack.
            NotFoundError: cargo is not installed, or the name needs a commit and there is none.
            AlreadyExistsError: the archive exists.
            InvalidReferenceError: `output` or `name` is none.
            InvalidPlatformError: a target is for no operating system that is known.
            StorageError, RegistryError, TransportError: the output could not be written.
        """
        target = None if output is None else await Target.parse(output, output=True)
        if target is not None:
            output_names(target, name)  # which refuses a wrong one before a long build
            await _check_free(target, overwrite=overwrite)
        elif name is not None:
            Reference.parse(name)
        job = await self._job(options, target, allow_dirty=allow_dirty, on_output=on_output)
        if target is None:
            target, overwrite = Target(kind="archive", path=job.default_output), True
        if name is None and not target.names:
            name = str(package_reference(job.crate, job.settings, job.revision))
        built = await job.build(headers)
        if output is None:
            await run_in_thread(_make_folder, job.default_output.parent)
        async with self._stores.writable(target, overwrite=overwrite) as store:
            descriptor = await self._pack_built(
                store,
                built,
                output_names(target, name)[0],
                format=format,
                compression=compression or Compression(),
                annotations=_annotations(job, annotations),
                label=job.crate.name,
            )
        full = target.names[0] if name is None else str(Reference.parse(name).with_default_tag())
        return _package(job, built, descriptor, target=output or str(target.path), name=full)

    async def cargo_publish(
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
        """Build a crate with cargo, and push its package.

        Args:
            reference: where to; None is what Cargo.toml says.
            options: what cargo builds, and how.
            headers: further globs of headers, relative to the crate.
            format: ``ocipkg-v1``; or ``ocipkg-v0``, for readers older than ocipkg 0.3.
            compression: of the layer; gzip by default.
            annotations: further ones; they win.
            allow_dirty: build from sources that are not committed, and mark the package.
            on_output: called with what cargo and the compiler say to people.

        Returns:
            what was made, as `cargo_build`.

        Raises:
            OCIError: as `cargo_build`.
        """
        parsed = None if reference is None else to_destination(reference).with_default_tag()
        if parsed is not None:
            pushed_tags(parsed)  # which refuses a digest before a long build
        job = await self._job(options, None, allow_dirty=allow_dirty, on_output=on_output)
        parsed = parsed or package_reference(job.crate, job.settings, job.revision)
        built = await job.build(headers)
        descriptor = await self._pack_built(
            self.repository(parsed),
            built,
            parsed.tag,
            format=format,
            compression=compression or Compression(),
            annotations=_annotations(job, annotations),
            label=job.crate.name,
        )
        return _package(job, built, descriptor, target=str(parsed), name=str(parsed))

    async def _job(
        self,
        options: CargoOptions | None,
        target: Target | None,
        *,
        allow_dirty: bool,
        on_output: OnOutput,
    ) -> _Job:
        _ = self._stores  # an open client, before anything is built
        options = options or CargoOptions()
        cargo = Cargo(on_output, color=options.color)
        workspace, crate = await find_crate(cargo, options)
        settings = workspace.settings(crate)
        outputs = [Path(workspace.target_directory)]
        if target is not None and target.path is not None:
            outputs.append(target.path)
        lock = Path(workspace.workspace_root, "Cargo.lock")
        revision = await read_revision(Path(crate.manifest_path), outputs=outputs, lock=lock)
        check_clean(crate, revision, allow_dirty=allow_dirty)
        return _Job(
            cargo=cargo,
            options=options,
            workspace=workspace,
            crate=crate,
            settings=settings,
            revision=revision,
        )

    async def _pack_built(
        self,
        store: PackStore,
        built: Sequence[BuiltCrate],
        name: str | None,
        *,
        format: PackageFormat,  # noqa: A002
        compression: Compression,
        annotations: dict[str, str],
        label: str,
    ) -> Descriptor:
        """Write what was built into a store: a package, or several and their index."""
        packed: list[Descriptor] = []
        single = len(built) == 1
        for one in built:
            if one.unknown:
                text = f"the package cannot say that it needs {' '.join(one.unknown)}"
                self._on_event(Warned(action="pack", text=text))
            packed.append(
                await pack(
                    store,
                    (),
                    named=one.named,
                    format=format,
                    platform=one.platform,
                    # Readers of the old format know of no such thing.
                    link=one.link if format == "ocipkg-v1" else None,
                    name=name if single else None,
                    compression=compression,
                    annotations=annotations,
                    label=label if single else f"{label} for {one.triple}",
                    on_event=self._on_event,
                )
            )
        if single:
            return packed[0]
        artifact_type = media_types.OCIPKG_ARTIFACT if format == "ocipkg-v1" else None
        entries = [
            index_entry(descriptor, one.platform, artifact_type=artifact_type)
            for descriptor, one in zip(packed, built, strict=True)
        ]
        index = await push_index(store, entries, name=name, annotations=annotations)
        return index.descriptor


async def _check_free(target: Target, *, overwrite: bool) -> None:
    """Find out before a long build that its result would be in the way."""
    if target.kind == "archive" and target.path is not None and not overwrite:
        with storage_errors(f"examine {target.path}"):
            if await run_in_thread(target.path.exists):
                raise exists_error(target.path)


def _make_folder(folder: Path) -> None:
    with storage_errors(f"create the folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)


def _annotations(job: _Job, given: Mapping[str, str] | None) -> dict[str, str]:
    return {**crate_annotations(job.crate, job.settings, job.revision), **(given or {})}


def _package(
    job: _Job, built: Sequence[BuiltCrate], descriptor: Descriptor, *, target: str, name: str
) -> CratePackage:
    return CratePackage(
        crate=job.crate.name,
        version=job.crate.version,
        target=target,
        name=name,
        platforms=tuple(one.platform for one in built),
        descriptor=descriptor,
    )
