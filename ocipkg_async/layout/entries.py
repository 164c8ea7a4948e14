"""The entries of one ``index.json``, with tables to look them up by name and by digest."""

from collections.abc import Iterable
from typing import Self

from ..spec import Descriptor, Digest
from ..spec.annotations import CONTAINERD_IMAGE_NAME, REF_NAME

_Identity = tuple[str, Digest, int]


class Entries(tuple[Descriptor, ...]):  # noqa: SLOT001 - a tuple's subclass can have none
    """The entries, in the order of the file.

    Attributes:
        by_name: the entries that have a name, one for each manifest that it stands for; several
            are a contradiction (I-06).
        by_digest: the first entry of each digest.
    """

    by_name: dict[str, tuple[Descriptor, ...]]
    by_digest: dict[Digest, Descriptor]

    def __new__(cls, descriptors: Iterable[Descriptor] = ()) -> Self:
        """Make the tables, in time proportional to the number of entries."""
        self = super().__new__(cls, descriptors)
        named: dict[str, dict[_Identity, Descriptor]] = {}
        self.by_digest = {}
        for entry in self:
            self.by_digest.setdefault(entry.digest, entry)
            for name in names_of(entry):
                identity = (entry.media_type, entry.digest, entry.size)
                named.setdefault(name, {}).setdefault(identity, entry)
        self.by_name = {name: tuple(several.values()) for name, several in named.items()}
        return self

    @classmethod
    def of(cls, entries: Iterable[Descriptor]) -> Self:
        """Return `entries` with tables; they are not made again."""
        return entries if isinstance(entries, cls) else cls(entries)


def names_of(entry: Descriptor) -> list[str]:
    """Return the names in an entry's annotations, as they are written there."""
    notes = entry.annotations
    if not notes:
        return []
    return [notes[key] for key in (REF_NAME, CONTAINERD_IMAGE_NAME) if key in notes]
