"""Which packages are installed: the names in a store's layout."""

from ..content import select_manifest
from ..errors import IntegrityError, InvalidDocumentError, NotFoundError
from ..spec import Descriptor, Manifest, Platform, Reference, annotations
from .names import from_name, to_name
from .shelf import Shelf
from .values import Package


def name_of(package: Package) -> str:
    """Return the name of a package in the layout."""
    return to_name(package.reference, package.platform)


def not_installed(reference: Reference, platform: Platform | None, what: str) -> NotFoundError:
    """Return the error for a package that has to be installed: `what` is wrong with it."""
    return NotFoundError(
        f"{to_name(reference, platform)} {what}",
        hint=f"install it with: ocipkg-async get {reference.with_default_tag()}"
        + (f" --platform {platform}" if platform else ""),
    )


class Catalog:
    """The packages of one store; who asks holds its lock."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def entry(self, reference: Reference, platform: Platform | None) -> Descriptor:
        """Return the manifest that a name stands for.

        Raises:
            NotFoundError: it is not installed.
        """
        wanted = to_name(reference, platform)
        for entry in await self._shelf.layout.entries():
            if (entry.annotations or {}).get(annotations.REF_NAME) == wanted:
                return entry.plain()
        raise not_installed(reference, platform, "is not installed")

    def package(
        self, reference: Reference, platform: Platform | None, manifest: Manifest
    ) -> Package:
        """Describe an installed package."""
        return Package(
            reference=reference.with_default_tag(),
            platform=platform,
            descriptor=manifest.descriptor,
            path=self._shelf.folder(manifest.digest),
            size=sum(descriptor.size for descriptor in manifest.successors),
        )

    async def listed(
        self, reference: Reference, platform: Platform | None, descriptor: Descriptor
    ) -> Package:
        """Describe a package for a list; `verify` tells of damage, and removing must mend it."""
        try:
            manifest = await select_manifest(self._shelf.layout, descriptor)
        except (IntegrityError, InvalidDocumentError, NotFoundError):
            return Package(
                reference=reference.with_default_tag(),
                platform=platform,
                descriptor=descriptor,
                path=self._shelf.folder(descriptor.digest),
                size=descriptor.size,
            )
        return self.package(reference, platform, manifest)

    async def packages(self) -> list[Package]:
        """Return all packages, sorted by name."""
        found: list[Package] = []
        for entry in await self._shelf.layout.entries():
            known = from_name((entry.annotations or {}).get(annotations.REF_NAME, ""))
            if known is not None:
                found.append(await self.listed(*known, entry.plain()))
        return sorted(found, key=name_of)
