"""What the local store tells: packages, problems, and what was pruned."""

from dataclasses import dataclass
from pathlib import Path

from ..spec import Descriptor, Platform, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package.

    Attributes:
        reference: its name.
        platform: the platform that was asked for, or None.
        descriptor: its manifest.
        path: the folder with its files.
        size: bytes of its config and layers, compressed.
    """

    reference: Reference
    platform: Platform | None
    descriptor: Descriptor
    path: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with an installed package or a blob.

    Attributes:
        what: the package or digest.
        message: what is wrong with it.
    """

    what: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What `LocalStore.prune` removed, or would remove.

    Attributes:
        removed: installed packages that were too old, or too many.
        packages: how many unpacked folders, theirs and those without a name.
        blobs: how many blobs and documents.
        leftovers: how many temporary files and unfinished downloads.
        bytes: bytes of all that; a file with several names counts when its last one goes.
    """

    removed: tuple[Package, ...] = ()
    packages: int
    blobs: int
    leftovers: int
    bytes: int
