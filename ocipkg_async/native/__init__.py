"""Native code: what binaries are for, and how an installed package is linked."""

from .binary import identify
from .linkage import Library, LibraryKind, Linkage
from .machine import Binary, BinaryFormat, BinaryKind, Machine
from .metadata import LinkMetadata, is_library_name, packed_platform
from .needs import load_order
from .scan import Toolchain, Wanted, scan

__all__ = [
    "Binary",
    "BinaryFormat",
    "BinaryKind",
    "Library",
    "LibraryKind",
    "LinkMetadata",
    "Linkage",
    "Machine",
    "Toolchain",
    "Wanted",
    "identify",
    "is_library_name",
    "load_order",
    "packed_platform",
    "scan",
]
