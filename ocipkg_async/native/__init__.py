"""Native code: what binaries are for, and how an installed package is linked."""

from .linkage import Library, LibraryKind, Linkage
from .metadata import LinkMetadata

__all__ = ["Library", "LibraryKind", "LinkMetadata", "Linkage"]
