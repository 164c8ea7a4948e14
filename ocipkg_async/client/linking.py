"""The verb that tells how a package is linked."""

from dataclasses import dataclass
from pathlib import Path

from ..content import fetch_document, run_in_thread
from ..errors import (
    InvalidArgumentError,
    InvalidDocumentError,
    InvalidPackageError,
    NotFoundError,
    OCIError,
)
from ..native import (
    LibraryKind,
    Linkage,
    LinkMetadata,
    Wanted,
    is_library_name,
    packed_platform,
    scan,
)
from ..spec import Manifest, Platform, Reference, annotations, media_types
from ..store import LocalStore, LockFile, Package
from .inspection import labels_of
from .locked import installed_as
from .moving import MovingVerbs
from .open_client import to_platform, to_reference

_CONFIGS = frozenset({media_types.OCIPKG_CONFIG, media_types.OCI_CONFIG, media_types.DOCKER_CONFIG})
_DESCRIPTION_CHARACTERS = 200


class LinkingVerbs(MovingVerbs):
    """The verb that tells how a package is linked; see `ocipkg_async.Client`."""

    async def link(
        self,
        reference: str | Reference,
        *,
        target: str | Platform | None = None,
        kind: LibraryKind | None = None,
        name: str | None = None,
        lock: Path | LockFile | None = None,
        offline: bool = False,
    ) -> Linkage:
        """Tell how to link a package, which is installed where it is missing.

        No request is made for a package that is installed and fits, also where its tag points
        elsewhere now: `get` brings it up to date. Every library is checked to be for the target.

        Args:
            reference: the package.
            target: what is built for, a target triple or platform; None is the host.
            kind: which libraries; None takes what there is: static ones, and dynamic ones where
                there is no other.
            name: what build systems shall call it; None is the last part of its repository's name.
            lock: a lock file; what it says is linked, and nothing else.
            offline: make no request, but link what is installed.

        Raises:
            NotFoundError: the package is nowhere, or has nothing to link for this target or of
                this kind; the message says what it has.
            InvalidPackageError, InvalidDocumentError: it says of itself what is not so, or what
                build systems must not be told; or the lock file is broken.
            InvalidArgumentError: `name` is none for build systems.
            TagMovedError, IntegrityError, RegistryError, TransportError, StorageError: as `get`.
        """
        if name is not None and not is_library_name(name):
            raise InvalidArgumentError(
                f"{name[:100]!r} is not a name for build systems",
                hint="give one of letters, digits, '_', '.', '+' and '-'",
            )
        parsed, wanted = to_reference(reference).with_default_tag(), to_platform(target)
        # Cargo always says for which target; for the host's it is the package of `get REF`.
        platform = None if wanted is not None and wanted.normalised() == Platform.host() else wanted
        scanning = _Scanning(
            reference=parsed,
            name=name or parsed.repository.rpartition("/")[2],
            target=target,
            platform=wanted,
            kind=kind,
        )
        known = await self._installed(parsed, platform) if lock is None else None
        if known is None:
            package = await self.get(parsed, platform=platform, lock=lock, offline=offline)
            return await self._linkage(package, scanning)
        try:
            return await self._linkage(known, scanning)
        except (NotFoundError, InvalidPackageError, InvalidDocumentError) as error:
            newer = None if offline else await self._newer(parsed, platform, known, error)
            if newer is None:
                raise
        return await self._linkage(newer, scanning)

    async def _installed(self, reference: Reference, platform: Platform | None) -> Package | None:
        """Return the installed package, under the name that has it."""
        store = await self.local_store()
        for one in (platform,) if platform is not None else (None, Platform.host()):
            found = await installed_as(store, reference, one)
            if found is not None:
                return found
        return None

    async def _newer(
        self, reference: Reference, platform: Platform | None, known: Package, unfit: OCIError
    ) -> Package | None:
        """Return what the registry has now in place of an installed package that does not fit."""
        try:
            found = await self.get(reference, platform=platform)
        except OCIError as error:
            unfit.add_note(f"it was installed before, and whether there is another now: {error}")
            return None
        return found if found.path != known.path else None

    async def _linkage(self, package: Package, scanning: "_Scanning") -> Linkage:
        store = await self.local_store()
        try:
            async with store.reading():
                manifest, config = await self._described(store, package)
                return await run_in_thread(scanning.scan, package.path, manifest, config)
        except (NotFoundError, InvalidPackageError, InvalidDocumentError) as error:
            raise type(error)(f"{scanning.reference}: {error}", hint=error.hint) from error

    async def _described(self, store: LocalStore, package: Package) -> tuple[Manifest, bytes]:
        """Return the manifest of an installed package, and its config, ``{}`` if it has none."""
        manifest = await fetch_document(
            store.layout, package.descriptor, max_bytes=self.options.max_manifest_bytes
        )
        if not isinstance(manifest, Manifest):
            raise InvalidDocumentError(f"{manifest.digest} is an index, not a package")
        if manifest.config is None or manifest.config.media_type not in _CONFIGS:
            return manifest, b"{}"
        async with store.layout.fetch(manifest.config) as reader:
            return manifest, await reader.read_all(max_bytes=self.options.max_manifest_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanning:
    """What is asked of a package, whichever is found."""

    reference: Reference
    name: str
    target: str | Platform | None
    platform: Platform | None
    kind: LibraryKind | None

    def scan(self, folder: Path, manifest: Manifest, config: bytes) -> Linkage:
        notes = manifest.annotations or labels_of(config)  # as format V0 has them
        return scan(
            folder,
            _wanted(self.target, self.platform, self.kind, config),
            LinkMetadata.from_config(config),
            name=self.name,
            version=_line(notes.get(annotations.VERSION, "")) or self.reference.tag or "",
            description=_line(notes.get(annotations.DESCRIPTION, "")),
        )


def _wanted(
    target: str | Platform | None,
    platform: Platform | None,
    kind: LibraryKind | None,
    config: bytes,
) -> Wanted:
    """Return what is to be linked.

    Raises:
        NotFoundError: the package says that it is for something else.
    """
    platform = (platform or Platform.host()).normalised()
    packed = packed_platform(config)
    if packed is not None and (packed.os, packed.architecture) != (
        platform.os,
        platform.architecture,
    ):
        raise NotFoundError(
            f"the package is for {packed}, not for {platform}",
            hint="choose another with --platform or --target, or get a package for it",
        )
    triple = target.lower() if isinstance(target, str) else ""
    gnu = "-gnu" in triple or "mingw" in triple
    libc = "musl" if "-musl" in triple else "glibc" if gnu and platform.os == "linux" else None
    return Wanted(platform=platform, kind=kind, toolchain="gnu" if gnu else "msvc", libc=libc)


def _line(text: str) -> str:
    """Return the first line, if it can be printed."""
    first = next(iter(text.strip().splitlines()), "").strip()[:_DESCRIPTION_CHARACTERS]
    return first if first.isprintable() else ""
